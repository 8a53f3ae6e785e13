import { beforeAll, describe, expect, it } from "vitest";
import {
  BLKIF_INDIRECT_PAGES,
  BLKIF_OP_DISCARD,
  BLKIF_OP_INDIRECT,
  BLKIF_REQUEST_SEGMENT_SIZE,
  BLKIF_SLOT_SIZE,
  BLKIF_X86_32_SLOT_SIZE,
  blkif_get_response,
  blkif_get_segments,
  blkif_get_x86_32_req,
  blkif_get_x86_64_req,
  blkif_put_request,
  blkif_put_response,
  blkif_put_segment,
  blkif_put_x86_32_request,
  blkif_req_set_discard,
  blkif_req_set_id,
  blkif_req_set_indirect,
  blkif_req_set_indirect_gref,
  blkif_req_set_rw,
  blkif_req_set_seg,
  blkif_request,
  blkif_request_image,
  blkif_response,
} from "../../../../kernel/include/xen/interface/io/blkif";
import { golden, hex, makePages, unhex, usePagesWithoutMachine, words64 } from "../golden";
import { backRing, frontRing } from "./rings";

interface Input {
  kind: "rw" | "discard" | "indirect" | "response";
  operation: number;
  nr_segments: number;
  handle: number;
  id: string;
  sector_number: string;
  flag: number;
  nr_sectors: string;
  indirect_op: number;
  nr_indirect_grefs_written: number;
  status: number;
}
interface Case {
  name: string;
  slot: number;
  slot_offset: number;
  input: Input;
  prefill_aa: string;
  prefill_00: string;
}
interface Variant {
  sizeof_entry: number;
  cases: Case[];
  indirect_page: { hex: string };
}
const variants = Object.fromEntries(
  Object.entries(golden<Record<string, Variant | string>>("requests.json")).filter(
    (entry): entry is [string, Variant] => typeof entry[1] !== "string",
  ),
);

beforeAll(usePagesWithoutMachine);

/** The golden files' rule for segment `i`. */
const segment = (i: number): [gref: number, first: number, last: number] => {
  const first = (3 * i) % 8;
  return [0x01000000 + 0x00010203 * i, first, first + ((7 - first) >> 1)];
};

/** What our functions make of the input, over `fill` as the private request's earlier contents. */
function image(input: Input, fill: number): blkif_request_image {
  const req = new blkif_request_image();
  req.bytes.fill(fill);
  blkif_req_set_id(req, 0);
  if (input.kind === "rw") {
    blkif_req_set_rw(req, input.operation, input.nr_segments, input.handle, 0);
    for (let i = 0; i < input.nr_segments; i++) blkif_req_set_seg(req, i, ...segment(i));
  } else if (input.kind === "discard") {
    req.words[0] = input.handle << 16;
    blkif_req_set_discard(req, input.flag, 0, 0);
    req.words.set(words64(input.nr_sectors), 6);
  } else {
    blkif_req_set_indirect(req, input.indirect_op, input.nr_segments, input.handle, 0);
    for (let i = 0; i < input.nr_indirect_grefs_written; i++)
      blkif_req_set_indirect_gref(req, i, 0xfedc0000 + 0x11 * i);
  }
  req.words.set(words64(input.id), 2);
  req.words.set(words64(input.sector_number), 4);
  return req;
}

describe.each(Object.keys(variants))("requests.json: %s", (which) => {
  const { sizeof_entry, cases, indirect_page } = variants[which];
  const put = sizeof_entry === BLKIF_SLOT_SIZE ? blkif_put_request : blkif_put_x86_32_request;
  const get = sizeof_entry === BLKIF_SLOT_SIZE ? blkif_get_x86_64_req : blkif_get_x86_32_req;
  const requests = cases.filter((c) => c.input.kind !== "response").map((c) => [c.name, c] as const);
  const responses = cases.filter((c) => c.input.kind === "response").map((c) => [c.name, c] as const);
  const fills = [
    [0xaa, "prefill_aa"],
    [0x00, "prefill_00"],
  ] as const;

  it.each(requests)("front end: %s has the same bytes in the same slot, and no others change", (_name, c) => {
    for (const [fill, key] of fills) {
      const { pages, memory } = makePages(1, 0x55);
      put(frontRing(sizeof_entry, pages), c.slot, image(c.input, fill));
      expect(hex(memory.subarray(c.slot_offset, c.slot_offset + sizeof_entry))).toBe(c[key]);
      memory.fill(0x55, c.slot_offset, c.slot_offset + sizeof_entry);
      expect(memory.every((byte) => byte === 0x55)).toBe(true);
    }
  });

  it.each(requests)("back end: %s is understood", (_name, c) => {
    for (const [, key] of fills) {
      const { pages, memory } = makePages(1, 0x55);
      memory.set(unhex(c[key]), c.slot_offset);
      const got = new blkif_request();
      get(got, backRing(sizeof_entry, pages), c.slot, 8);
      const { input } = c;
      expect(got.operation).toBe(input.operation);
      expect([got.id_lo, got.id_hi]).toEqual(words64(input.id));
      expect([got.sector_number_lo, got.sector_number_hi]).toEqual(words64(input.sector_number));
      if (input.kind === "discard") {
        expect(got.flag).toBe(input.flag);
        expect([got.nr_sectors_lo, got.nr_sectors_hi]).toEqual(words64(input.nr_sectors));
        continue;
      }
      expect([got.nr_segments, got.handle]).toEqual([input.nr_segments, input.handle]);
      if (input.kind === "indirect") {
        expect(got.indirect_op).toBe(input.indirect_op);
        const count = input.nr_indirect_grefs_written;
        const grefs = Array.from({ length: 8 }, (_, i) => (i < count ? 0xfedc0000 + 0x11 * i : 0));
        expect([...got.indirect_grefs]).toEqual(grefs);
        continue;
      }
      for (let i = 0; i < input.nr_segments; i++) {
        expect([got.seg_gref[i], got.seg_first_sect[i], got.seg_last_sect[i]]).toEqual(segment(i));
      }
    }
  });

  it.each(responses)(
    "%s: the back end writes the same bytes over the same padding, the front end reads them",
    (_name, c) => {
      const [id_lo, id_hi] = words64(c.input.id);
      for (const [fill, key] of fills) {
        const { pages, memory } = makePages(1, fill);
        const { operation, status } = c.input;
        blkif_put_response(backRing(sizeof_entry, pages), c.slot, id_lo, id_hi, operation, status);
        expect(hex(memory.subarray(c.slot_offset, c.slot_offset + sizeof_entry))).toBe(c[key]);
        memory.fill(fill, c.slot_offset, c.slot_offset + sizeof_entry);
        expect(memory.every((byte) => byte === fill)).toBe(true);

        memory.set(unhex(c[key]), c.slot_offset);
        const got = new blkif_response();
        blkif_get_response(got, frontRing(sizeof_entry, pages), c.slot);
        expect({ ...got }).toEqual({ id_lo, id_hi, operation, status });
      }
    },
  );

  it("an indirect page is an array of descriptors", () => {
    const expected = unhex(indirect_page.hex);
    const count = expected.length / BLKIF_REQUEST_SEGMENT_SIZE;
    const { pages, memory } = makePages(1);
    for (let i = 0; i < count; i++) blkif_put_segment(pages[0], i, ...segment(i));
    expect(hex(memory.subarray(0, expected.length))).toBe(indirect_page.hex);
    const [gref, first, last] = [new Uint32Array(count + 2), new Uint8Array(count + 2), new Uint8Array(count + 2)];
    blkif_get_segments(gref, first, last, 2, pages[0], 0, count);
    for (let i = 0; i < count; i++) expect([gref[i + 2], first[i + 2], last[i + 2]]).toEqual(segment(i));
  });
});

interface Convert {
  cases: { abi: "x86_32" | "x86_64"; op: number; wire: string; native: string }[];
}
const convert = golden<Convert>("convert.json");

/** The native bytes of what was copied, over 0xee: only fields that the conversion sets. */
function native(got: blkif_request, maxIndirectPages: number): string {
  const bytes = new Uint8Array(BLKIF_SLOT_SIZE).fill(0xee);
  const view = new DataView(bytes.buffer);
  const u64 = (at: number, lo: number, hi: number): void => {
    view.setUint32(at, lo, true);
    view.setUint32(at + 4, hi, true);
  };
  bytes[0] = got.operation;
  u64(8, got.id_lo, got.id_hi);
  if (got.operation > 3 && got.operation !== BLKIF_OP_DISCARD && got.operation !== BLKIF_OP_INDIRECT) return hex(bytes);
  u64(16, got.sector_number_lo, got.sector_number_hi);
  if (got.operation === BLKIF_OP_DISCARD) {
    bytes[1] = got.flag;
    u64(24, got.nr_sectors_lo, got.nr_sectors_hi);
  } else if (got.operation === BLKIF_OP_INDIRECT) {
    bytes[1] = got.indirect_op;
    view.setUint16(2, got.nr_segments, true);
    view.setUint16(24, got.handle, true);
    const pages = Math.min(maxIndirectPages, BLKIF_INDIRECT_PAGES(got.nr_segments));
    for (let i = 0; i < pages; i++) view.setUint32(28 + 4 * i, got.indirect_grefs[i], true);
  } else {
    bytes[1] = got.nr_segments;
    view.setUint16(2, got.handle, true);
    for (let i = 0; i < Math.min(11, got.nr_segments); i++) {
      view.setUint32(24 + 8 * i, got.seg_gref[i], true);
      bytes[28 + 8 * i] = got.seg_first_sect[i];
      bytes[29 + 8 * i] = got.seg_last_sect[i];
    }
  }
  return hex(bytes);
}

/** The same with the padding of segments forced to 0xee, which a word-by-word copy of the C driver takes along. */
function maskSegmentPadding(text: string): string {
  const bytes = unhex(text);
  if (bytes[0] <= 3) for (let i = 0; i < Math.min(11, bytes[1]); i++) bytes.fill(0xee, 30 + 8 * i, 32 + 8 * i);
  return hex(bytes);
}

describe("convert.json", () => {
  it("every request of both ABIs becomes the same native one", () => {
    for (const { abi, wire, native: expected } of convert.cases) {
      const { pages, memory } = makePages(1, 0x55);
      memory.set(unhex(wire), 64);
      const got = new blkif_request();
      const slotSize = abi === "x86_32" ? BLKIF_X86_32_SLOT_SIZE : BLKIF_SLOT_SIZE;
      const get = abi === "x86_32" ? blkif_get_x86_32_req : blkif_get_x86_64_req;
      get(got, backRing(slotSize, pages), 0, 1);
      expect(native(got, 1), `${abi} ${wire}`).toBe(maskSegmentPadding(expected));
    }
  });

  it("fields that an operation does not have keep what they had", () => {
    const { pages } = makePages(1);
    const ring = backRing(BLKIF_SLOT_SIZE, pages);
    const got = new blkif_request();
    got.nr_segments = 77;
    got.handle = 88;
    (pages[0].bytes as Uint8Array)[64] = BLKIF_OP_DISCARD;
    blkif_get_x86_64_req(got, ring, 0, 1);
    expect([got.nr_segments, got.handle]).toEqual([77, 88]);
    got.sector_number_lo = 99;
    (pages[0].bytes as Uint8Array)[64] = 4;
    blkif_get_x86_64_req(got, ring, 0, 1);
    expect([got.operation, got.sector_number_lo]).toEqual([4, 99]);
  });
});

interface RawTests {
  entry_size: number;
  tests: { request: string; responses: { id: string; operation: number; status: number; raw16: string }[] }[];
}

describe("backend-raw-loop-x64-nopers.json", () => {
  it("a real back end's answers lie over the requests' padding as ours do", () => {
    const raw = golden<RawTests>("linux/backend-raw-loop-x64-nopers.json");
    let compared = 0;
    for (const { request, responses } of raw.tests) {
      if (responses.length !== 1 || request === undefined) continue;
      const { pages, memory } = makePages(1);
      memory.set(unhex(request), 64);
      const ring = backRing(raw.entry_size, pages);
      const got = new blkif_request();
      blkif_get_x86_64_req(got, ring, 0, 1);
      const { id, operation, status, raw16 } = responses[0];
      expect(BigInt(got.id_hi) * 2n ** 32n + BigInt(got.id_lo)).toBe(BigInt(id));
      expect(got.operation === BLKIF_OP_INDIRECT ? got.indirect_op : got.operation).toBe(operation);
      blkif_put_response(ring, 0, got.id_lo, got.id_hi, operation, status);
      expect(hex(memory.subarray(64, 80))).toBe(raw16);
      compared++;
    }
    expect(compared).toBeGreaterThan(50);
  });
});
