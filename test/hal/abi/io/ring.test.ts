import { beforeAll, describe, expect, it } from "vitest";
import { page_read32, page_write32, type shared_page } from "../../../../hal/guest/page";
import {
  BACK_RING_ATTACH,
  BACK_RING_INIT,
  FRONT_RING_ATTACH,
  RING_FINAL_CHECK_FOR_REQUESTS,
  RING_FINAL_CHECK_FOR_RESPONSES,
  RING_FREE_REQUESTS,
  RING_FULL,
  RING_HAS_UNCONSUMED_REQUESTS,
  RING_HAS_UNCONSUMED_RESPONSES,
  RING_PUSH_REQUESTS,
  RING_PUSH_REQUESTS_AND_CHECK_NOTIFY,
  RING_PUSH_RESPONSES,
  RING_PUSH_RESPONSES_AND_CHECK_NOTIFY,
  RING_REQUEST_CONS_OVERFLOW,
  RING_REQUEST_PROD_OVERFLOW,
  RING_RESPONSE_PROD_OVERFLOW,
  RING_SIZE,
  RING_SLOT_WORD,
  SRING_REQ_EVENT,
  SRING_REQ_EVENT_WORD,
  SRING_REQ_PROD,
  SRING_REQ_PROD_WORD,
  SRING_RSP_EVENT,
  SRING_RSP_EVENT_WORD,
  SRING_RSP_PROD,
  SRING_RSP_PROD_WORD,
  SRING_SIZE,
  XEN_FRONT_RING_INIT,
  __RD32,
  __RING_SIZE,
  back_ring,
  front_ring,
} from "../../../../kernel/include/xen/interface/io/ring";
import { golden, hex, makePages, usePagesWithoutMachine, type AbiFile } from "../golden";

const abi = golden<AbiFile>("abi.json");
const SLOT = 112;

beforeAll(usePagesWithoutMachine);

describe.each([
  ["xen_x86_64", 112],
  ["xen_x86_32", 108],
] as const)("abi.json: rings of %s", (which, slotSize) => {
  it("have as many slots as the macros count, whole powers of two or not", () => {
    for (const [pages, sizes] of Object.entries(abi[which].ring_sizes)) {
      const size = Number(pages) * 4096;
      expect(__RING_SIZE(size, slotSize), pages).toBe(sizes.ring_size);
      expect(Math.floor((size - SRING_SIZE) / slotSize), pages).toBe(sizes.raw_entries);
      const ring = new front_ring(slotSize);
      FRONT_RING_ATTACH(ring, makePages(Number(pages)).pages, 0, size);
      expect(RING_SLOT_WORD(ring, sizes.ring_size - 1) * 4 + slotSize).toBe(sizes.last_entry_end);
    }
  });

  it("__RD32 rounds down to a power of two up to 2^32 - 1", () => {
    for (const [x, rounded] of abi[which].rd32) expect(__RD32(x), String(x)).toBe(rounded);
  });

  it("start with the header that the macros write, and leave the rest of the page alone", () => {
    const { pages, memory } = makePages(1, 0xa5);
    const ring = new front_ring(slotSize);
    XEN_FRONT_RING_INIT(ring, pages, 4096);
    expect(hex(memory.subarray(0, 80))).toBe(abi[which].fresh_sring_header_hex);
    expect(memory.subarray(80).every((byte) => byte === 0xa5)).toBe(true);
    const { req_prod_pvt, rsp_cons, nr_ents } = ring;
    expect({ req_prod_pvt, rsp_cons, nr_ents }).toEqual(abi[which].fresh_front);
  });

  it("have their header where the compiler put it", () => {
    const fields = abi[which].structs.blkif_sring.fields;
    expect([SRING_REQ_PROD, SRING_REQ_EVENT, SRING_RSP_PROD, SRING_RSP_EVENT, SRING_SIZE]).toEqual(
      ["req_prod", "req_event", "rsp_prod", "rsp_event", "ring"].map((name) => fields[name].offset),
    );
    const words = [SRING_REQ_PROD_WORD, SRING_REQ_EVENT_WORD, SRING_RSP_PROD_WORD, SRING_RSP_EVENT_WORD];
    expect(words.map((word) => word * 4)).toEqual([SRING_REQ_PROD, SRING_REQ_EVENT, SRING_RSP_PROD, SRING_RSP_EVENT]);
    const ring = new front_ring(slotSize);
    FRONT_RING_ATTACH(ring, makePages(1).pages, 0, 4096);
    for (const i of [0, 1, 31]) expect(RING_SLOT_WORD(ring, i) * 4).toBe(fields[`ring[${i}]`].offset);
  });
});

describe("abi.json: Linux's three ring types", () => {
  it("have the same sizes", () => {
    for (const which of ["linux_x86_64", "linux_x86_32"] as const) {
      for (const [key, entries] of Object.entries(abi[which].ring_sizes)) {
        const [type, pages] = key.split("/");
        const is32 = type === "blkif_x86_32" || (type === "blkif" && which === "linux_x86_32");
        expect(__RING_SIZE(Number(pages) * 4096, is32 ? 108 : 112), key).toBe(entries);
      }
    }
  });
});

interface Trace {
  ops: string[];
  initial_columns: string[];
  columns: string[];
  scenarios: {
    name: string;
    pages: number;
    start_index: number;
    nr_ents: number;
    initial: number[];
    rows: number[][];
  }[];
}
const trace = golden<Trace>("ring-trace.json");

/** Both ends of one ring, driven by the trace's operations. */
class World {
  readonly sring: shared_page;
  readonly front = new front_ring(SLOT);
  readonly back = new back_ring(SLOT);

  constructor(pageCount: number, start: number) {
    const { pages } = makePages(pageCount, 0xa5);
    this.sring = pages[0];
    XEN_FRONT_RING_INIT(this.front, pages, pageCount * 4096);
    const shared = [start, start + 1, start, start + 1];
    shared.forEach((value, word) => page_write32(this.sring, word, value));
    FRONT_RING_ATTACH(this.front, pages, start, pageCount * 4096);
    BACK_RING_ATTACH(this.back, pages, start, pageCount * 4096);
  }

  readonly ops: Record<string, (arg: number) => number> = {
    front_produce: (n) => {
      const free = RING_FREE_REQUESTS(this.front);
      this.front.req_prod_pvt = (this.front.req_prod_pvt + n) >>> 0;
      return free;
    },
    front_push: () => (RING_PUSH_REQUESTS(this.front), 0),
    front_push_check_notify: () => Number(RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(this.front)),
    back_consume: (n) => {
      const available = RING_HAS_UNCONSUMED_REQUESTS(this.back);
      this.back.req_cons = (this.back.req_cons + n) >>> 0;
      return available;
    },
    back_final_check: () => RING_FINAL_CHECK_FOR_REQUESTS(this.back),
    back_respond: (n) => {
      const open = (this.back.req_cons - this.back.rsp_prod_pvt) >>> 0;
      this.back.rsp_prod_pvt = (this.back.rsp_prod_pvt + n) >>> 0;
      return open;
    },
    back_push: () => (RING_PUSH_RESPONSES(this.back), 0),
    back_push_check_notify: () => Number(RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(this.back)),
    front_consume: (n) => {
      const available = RING_HAS_UNCONSUMED_RESPONSES(this.front);
      this.front.rsp_cons = (this.front.rsp_cons + n) >>> 0;
      return available;
    },
    front_final_check: () => RING_FINAL_CHECK_FOR_RESPONSES(this.front),
    front_set_rsp_event: (n) => this.set(SRING_RSP_EVENT_WORD, this.front.rsp_cons + n),
    back_set_req_event: (n) => this.set(SRING_REQ_EVENT_WORD, this.back.req_cons + n),
    req_cons_overflow: (index) => Number(RING_REQUEST_CONS_OVERFLOW(this.back, index)),
    req_prod_overflow: (index) => Number(RING_REQUEST_PROD_OVERFLOW(this.back, index)),
    rsp_prod_overflow: (index) => Number(RING_RESPONSE_PROD_OVERFLOW(this.front, index)),
    hostile_set_req_prod: (value) => this.set(SRING_REQ_PROD_WORD, value),
    hostile_set_rsp_prod: (value) => this.set(SRING_RSP_PROD_WORD, value),
    hostile_set_req_event: (value) => this.set(SRING_REQ_EVENT_WORD, value),
    hostile_set_rsp_event: (value) => this.set(SRING_RSP_EVENT_WORD, value),
    slot_offset: (index) => RING_SLOT_WORD(this.front, index) * 4,
  };

  private set(word: number, value: number): number {
    page_write32(this.sring, word, value);
    return 0;
  }

  /** The columns after op, argument and result. */
  state(): number[] {
    const { front, back, sring } = this;
    const shared = [SRING_REQ_PROD_WORD, SRING_REQ_EVENT_WORD, SRING_RSP_PROD_WORD, SRING_RSP_EVENT_WORD];
    return [
      ...shared.map((word) => page_read32(sring, word)),
      ...[front.req_prod_pvt, front.rsp_cons, back.rsp_prod_pvt, back.req_cons],
      ...[RING_FREE_REQUESTS(front), Number(RING_FULL(front))],
      ...[RING_HAS_UNCONSUMED_RESPONSES(front), RING_HAS_UNCONSUMED_REQUESTS(back)],
    ];
  }
}

describe("ring-trace.json", () => {
  it.each(trace.scenarios.map((s) => [s.name, s] as const))("%s: every row", (_name, scenario) => {
    const world = new World(scenario.pages, scenario.start_index);
    expect(RING_SIZE(world.front)).toBe(scenario.nr_ents);
    expect(RING_SIZE(world.back)).toBe(scenario.nr_ents);
    expect(world.state().slice(0, 8)).toEqual(scenario.initial);
    scenario.rows.forEach((row, number) => {
      const name = trace.ops[row[0]];
      // The trace leaves result columns of hostile and event stores at 0, as ours do.
      const result = world.ops[name](row[1]);
      const got = [row[0], row[1], result, ...world.state()];
      if (got.join() !== row.join()) expect(got, `row ${number}: ${name}`).toEqual(row);
    });
  });

  it("has rows for each operation", () => {
    const seen = new Set(trace.scenarios.flatMap((scenario) => scenario.rows.map((row) => row[0])));
    expect(seen.size).toBe(trace.ops.length);
  });
});

describe("notification", () => {
  it.each([
    [0, 1, 1, true],
    [1, 2, 1, false],
    [0, 3, 1, true],
    [0, 3, 3, true],
    [0, 3, 4, false],
    [5, 6, 6, true],
    [5, 6, 5, false],
    [0xffffffff, 1, 0, true],
    [0xfffffffe, 0xffffffff, 1, false],
    [10, 12, 11, true],
    [10, 12, 13, false],
  ])("from %d to %d with the event at %d: %s, for requests and responses", (old, now, event, notify) => {
    const world = new World(1, old);
    page_write32(world.sring, SRING_REQ_EVENT_WORD, event);
    page_write32(world.sring, SRING_RSP_EVENT_WORD, event);
    world.front.req_prod_pvt = now;
    world.back.rsp_prod_pvt = now;
    expect(RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(world.front)).toBe(notify);
    expect(RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(world.back)).toBe(notify);
    expect(page_read32(world.sring, SRING_REQ_PROD_WORD)).toBe(now);
    expect(page_read32(world.sring, SRING_RSP_PROD_WORD)).toBe(now);
  });

  it("no wake-up is lost: after an idle final check the next push notifies, whatever the index", () => {
    for (const start of [0, 1, 31, 0x7fffffff, 0xfffffffe, 0xffffffff]) {
      const world = new World(1, start);
      expect(RING_FINAL_CHECK_FOR_REQUESTS(world.back)).toBe(0);
      world.ops.front_produce(1);
      expect(RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(world.front)).toBe(true);
      expect(RING_FINAL_CHECK_FOR_REQUESTS(world.back)).toBe(1);
    }
  });

  it.each([
    ["request", SRING_REQ_EVENT_WORD, SRING_REQ_PROD_WORD, "back_final_check"],
    ["response", SRING_RSP_EVENT_WORD, SRING_RSP_PROD_WORD, "front_final_check"],
  ])("a %s that comes between the event and the second look is seen", (_what, event, producer, check) => {
    const world = new World(1, 0);
    const words = world.sring.words as Uint32Array;
    world.sring.words = new Proxy(words, {
      get: (target, key) => Reflect.get(target, key) as unknown,
      set: (target, key, value: number) => {
        target[Number(key)] = value;
        if (Number(key) === event) target[producer] = 1;
        return true;
      },
    });
    expect(world.ops[check](0)).toBe(1);
  });
});

describe("overflow", () => {
  it.each([0, 0x7fffffff, 0xfffffff0])("from index %d: a full ring is possible, one more is not", (start) => {
    const { front, back } = new World(1, start);
    const full = (start + 32) >>> 0;
    const beyond = (start + 33) >>> 0;
    expect([RING_REQUEST_PROD_OVERFLOW(back, full), RING_REQUEST_PROD_OVERFLOW(back, beyond)]).toEqual([false, true]);
    expect([RING_RESPONSE_PROD_OVERFLOW(front, full), RING_RESPONSE_PROD_OVERFLOW(front, beyond)]).toEqual([
      false,
      true,
    ]);
    const last = (start + 31) >>> 0;
    expect([RING_REQUEST_CONS_OVERFLOW(back, last), RING_REQUEST_CONS_OVERFLOW(back, full)]).toEqual([false, true]);
    const behind = (start - 1) >>> 0;
    expect([RING_REQUEST_PROD_OVERFLOW(back, behind), RING_RESPONSE_PROD_OVERFLOW(front, behind)]).toEqual([
      true,
      true,
    ]);
  });
});

describe("a ring before its time", () => {
  it("an access through a ring without pages is a page fault", () => {
    expect(() => RING_HAS_UNCONSUMED_REQUESTS(new back_ring(SLOT))).toThrow("unable to handle page fault");
  });

  it("a back end that comes to a ring with history takes up at rsp_prod", () => {
    const { pages } = makePages(1);
    const front = new front_ring(SLOT);
    XEN_FRONT_RING_INIT(front, pages, 4096);
    page_write32(pages[0], SRING_REQ_PROD_WORD, 9);
    page_write32(pages[0], SRING_RSP_PROD_WORD, 7);
    const back = new back_ring(SLOT);
    BACK_RING_ATTACH(back, pages, page_read32(pages[0], SRING_RSP_PROD_WORD), 4096);
    expect(RING_HAS_UNCONSUMED_REQUESTS(back)).toBe(2);
    BACK_RING_INIT(back, pages, 4096);
    expect([back.req_cons, back.rsp_prod_pvt, RING_HAS_UNCONSUMED_REQUESTS(back)]).toEqual([0, 0, 9]);
  });
});
