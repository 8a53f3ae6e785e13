import { beforeAll, describe, expect, it } from "vitest";
import {
  BLKIF_INDIRECT_PAGES,
  BLKIF_SLOT_SIZE,
  BLKIF_X86_32_SLOT_SIZE,
  blkif_get_response,
  blkif_get_x86_32_req,
  blkif_get_x86_64_req,
  blkif_put_page_request,
  blkif_put_request,
  blkif_put_response,
  blkif_put_x86_32_request,
  blkif_req_set_discard,
  blkif_req_set_id,
  blkif_req_set_indirect,
  blkif_req_set_rw,
  blkif_req_set_seg,
  blkif_request,
  blkif_request_discard,
  blkif_request_image,
  blkif_request_indirect,
  blkif_request_other,
  blkif_response,
  blkif_sector,
} from "../../../../kernel/include/xen/interface/io/blkif";
import { golden, hex, makePages, usePagesWithoutMachine, type AbiFile } from "../golden";
import { backRing, frontRing, watch } from "./rings";

beforeAll(usePagesWithoutMachine);

describe("double fetches", () => {
  const operations = [0, 1, 2, 3, 4, 5, 6, 7, 255];

  it.each([BLKIF_SLOT_SIZE, BLKIF_X86_32_SLOT_SIZE])("no word of a slot of %d bytes is read twice", (slotSize) => {
    for (const operation of operations) {
      for (const byte1 of [0, 1, 11, 12, 255]) {
        const { pages, memory } = makePages(1, 0xff);
        memory[64] = operation;
        memory[65] = byte1;
        const ring = backRing(slotSize, pages);
        const reads = watch(pages[0]);
        const get = slotSize === BLKIF_SLOT_SIZE ? blkif_get_x86_64_req : blkif_get_x86_32_req;
        get(new blkif_request(), ring, 0, 8);
        expect([...reads.values()].every((count) => count === 1)).toBe(true);
        expect([...reads.keys()].every((word) => word >= 16 && word < 16 + slotSize / 4)).toBe(true);
      }
    }
  });

  it("a peer that changes the slot after the first word gets the operation and count that it wrote first", () => {
    const { pages, memory } = makePages(1);
    memory.set([1, 2], 64);
    const ring = backRing(BLKIF_SLOT_SIZE, pages);
    const words = pages[0].words as Uint32Array;
    watch(pages[0], () => (words[16] = 0xffff_ff06));
    const got = new blkif_request();
    blkif_get_x86_64_req(got, ring, 0, 1);
    expect([got.operation, got.nr_segments]).toEqual([1, 2]);
  });

  it("a response is read once as well", () => {
    const { pages } = makePages(1, 0xff);
    const ring = frontRing(BLKIF_SLOT_SIZE, pages);
    const reads = watch(pages[0]);
    blkif_get_response(new blkif_response(), ring, 3);
    expect([...reads.values()]).toEqual([1, 1, 1]);
  });
});

describe("rings of several pages", () => {
  it.each([1, 2, 3, 16])("%d pages: a request of one page is the same with and without an image", (count) => {
    const [direct, copied] = [makePages(count), makePages(count)];
    const [front, other] = [frontRing(BLKIF_SLOT_SIZE, direct.pages), frontRing(BLKIF_SLOT_SIZE, copied.pages)];
    const image = new blkif_request_image();
    for (let i = 0; i < front.nr_ents + 3; i++) {
      const sector = i * 2 ** 31;
      blkif_put_page_request(front, i & 1, 0xca00 + i, i, sector, 5 * i, 1 | (6 << 8));
      front.req_prod_pvt++;
      blkif_req_set_id(image, i);
      blkif_req_set_rw(image, i & 1, 1, 0xca00 + i, sector);
      blkif_req_set_seg(image, 0, 5 * i, 1, 6);
      blkif_put_request(other, i, image);
    }
    expect(hex(direct.memory)).toBe(hex(copied.memory));
  });

  const shapes = [2, 3, 4, 16].flatMap((count) => [
    [count, BLKIF_SLOT_SIZE] as const,
    [count, BLKIF_X86_32_SLOT_SIZE] as const,
  ]);

  it.each(shapes)(
    "%d pages, slots of %d bytes: what goes into a slot comes out of it, across page boundaries too",
    (count, slotSize) => {
      const { pages, memory } = makePages(count);
      const front = frontRing(slotSize, pages);
      const back = backRing(slotSize, pages);
      const put = slotSize === BLKIF_SLOT_SIZE ? blkif_put_request : blkif_put_x86_32_request;
      const get = slotSize === BLKIF_SLOT_SIZE ? blkif_get_x86_64_req : blkif_get_x86_32_req;
      const req = new blkif_request_image();
      const got = new blkif_request();
      for (let i = 0; i < front.nr_ents; i++) {
        blkif_req_set_id(req, i);
        blkif_req_set_rw(req, i & 1, 11, i, i * 8);
        for (let k = 0; k < 11; k++) blkif_req_set_seg(req, k, i * 100 + k, k & 7, 7);
        put(front, i, req);
        const start = 64 + i * slotSize;
        const wire = new Uint8Array(makePages(1).memory);
        wire.set(req.bytes.subarray(0, 4));
        wire.set(req.bytes.subarray(slotSize === BLKIF_SLOT_SIZE ? 4 : 8), 4);
        expect(hex(memory.subarray(start, start + slotSize))).toBe(hex(wire.subarray(0, slotSize)));
      }
      for (let i = 0; i < back.nr_ents; i++) {
        get(got, back, i, 1);
        expect([got.id_lo, got.operation, got.handle, got.sector_number_lo]).toEqual([i, i & 1, i, i * 8]);
        expect([...got.seg_gref]).toEqual(Array.from({ length: 11 }, (_, k) => i * 100 + k));
      }
      const rsp = new blkif_response();
      for (let i = 0; i < back.nr_ents; i++) {
        blkif_put_response(back, i, i, i + 1, i & 0xff, -1 - (i & 1));
        blkif_get_response(rsp, front, i);
        expect({ ...rsp }).toEqual({ id_lo: i, id_hi: i + 1, operation: i & 0xff, status: -1 - (i & 1) });
      }
    },
  );

  it("a slot that straddles is read once per word", () => {
    const { pages } = makePages(4, 0xff);
    const ring = backRing(BLKIF_SLOT_SIZE, pages);
    const reads = pages.map((page) => watch(page));
    // The first page ends with a slot's end; the second one does not.
    const straddling = Math.floor((2 * 4096 - 64) / BLKIF_SLOT_SIZE);
    blkif_get_x86_64_req(new blkif_request(), ring, straddling, 8);
    expect(reads.map((counts) => counts.size > 0)).toEqual([false, true, true, false]);
    expect(reads[1].size + reads[2].size).toBe(28);
    expect([...reads[1].values(), ...reads[2].values()].every((count) => count === 1)).toBe(true);
  });
});

describe("the front end's private request", () => {
  it("keeps stale bytes of an earlier use, as Linux's does", () => {
    const req = new blkif_request_image();
    blkif_req_set_rw(req, 1, 2, 51712, 8);
    blkif_req_set_seg(req, 0, 100, 0, 7);
    blkif_req_set_seg(req, 1, 101, 0, 7);
    blkif_req_set_rw(req, 3, 0, 51712, -1);
    expect(hex(req.bytes.subarray(0, 32))).toBe("030000ca000000000000000000000000ffffffffffffffff6400000000070000");
    blkif_req_set_discard(req, 1, 2 ** 33 + 5, 16);
    expect(hex(req.bytes.subarray(0, 40))).toBe(
      "050100ca00000000000000000000000005000000020000001000000000000000" + "6500000000070000",
    );
  });
});

it("blkif_sector: exact below 2^53, -1 above", () => {
  expect(blkif_sector(0xffffffff, 0x1fffff)).toBe(2 ** 53 - 1);
  expect(blkif_sector(0, 0x200000)).toBe(-1);
  expect(blkif_sector(0xffffffff, 0xffffffff)).toBe(-1);
});

it("BLKIF_INDIRECT_PAGES: as the macro counts", () => {
  const { constants } = golden<AbiFile>("abi.json").linux_x86_64;
  for (const n of [1, 256, 512, 513, 4096]) expect(BLKIF_INDIRECT_PAGES(n)).toBe(constants[`INDIRECT_PAGES(${n})`]);
});

it("the header re-exports the layouts under the driver's import", () => {
  expect([blkif_request_discard.size, blkif_request_indirect.size, blkif_request_other.size]).toEqual([32, 64, 16]);
});

describe("an indirect request", () => {
  it.each([
    [0, 8, 0],
    [1, 8, 1],
    [513, 8, 2],
    [513, 1, 1],
    [4096, 8, 8],
    [65535, 8, 8],
    [65535, 200, 8],
  ])("%d segments, at most %d pages: %d grefs are taken", (segments, max, taken) => {
    const { pages } = makePages(1, 0xff);
    const req = new blkif_request_image();
    req.words.fill(0x1234);
    blkif_req_set_indirect(req, 0, segments, 0, 0);
    blkif_put_request(frontRing(BLKIF_SLOT_SIZE, pages), 0, req);
    const got = new blkif_request();
    blkif_get_x86_64_req(got, backRing(BLKIF_SLOT_SIZE, pages), 0, max);
    expect(got.nr_segments).toBe(segments);
    expect([...got.indirect_grefs].filter((gref) => gref === 0x1234)).toHaveLength(taken);
  });
});
