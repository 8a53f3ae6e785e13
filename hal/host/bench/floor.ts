/**
 * The floor: two domains, one ring page, one 4 KiB copy per request, and nothing else. What the engine itself costs, and what the full stack is
 * measured against in the same run.
 *
 * The guests are the least that moves blocks through a real ring: request slots of 112 bytes, indices, one copy from a RAM disk to the data
 * page, responses. The host enters the two in turn, as an event channel would.
 */
import { createQuickJSEngine } from "../engines/quickjs";
import type { DomainSpec, Engine, EngineName } from "../engines/engine";
import { createV8Engine } from "../engines/v8";

const FRAMES = 160;
const FRONT_MFN = 2;
const BACK_MFN = 82;
const PAGES = 72;
/** The front end's pages: ring, then one data page per slot; the back end's: the RAM disk. */
const DISK_PAGES = 64;

const COMMON = `
  const SLOT = 28, RING = 16;
  let hal, ring, data = [];
`;

const FRONT = `(function (__ksym, exports) { "use strict"; ${COMMON}
  let produced = 0, consumed = 0, depth = 0, state = 1, done = 0;
  exports.boot = (h) => {
    hal = h;
    ring = h.page(0);
    depth = h.page(1)[0];
    for (let i = 0; i < 32; i++) data.push(i);
  };
  function produce() {
    while (produced - consumed < depth) {
      const at = RING + (produced & 31) * SLOT;
      const id = data.pop();
      state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
      ring[at] = 1 << 8;
      ring[at + 2] = id;
      ring[at + 3] = 0;
      ring[at + 4] = ((state >>> 0) % ${DISK_PAGES}) * 8;
      ring[at + 5] = 0;
      ring[at + 6] = id;
      ring[at + 7] = 7 << 8;
      produced++;
    }
    ring[0] = produced;
  }
  exports.enter = () => {
    const end = ring[2];
    while (consumed !== end) {
      const at = RING + (consumed & 31) * SLOT;
      if (ring[at + 2] >>> 16 !== 0) throw new Error("bad status");
      data.push(ring[at]);
      consumed++;
      done++;
    }
    produce();
    hal.control[600] = done;
  };
})`;

const BACK = `(function (__ksym, exports) { "use strict"; ${COMMON}
  let consumed = 0, produced = 0;
  const disk = [];
  exports.boot = (h) => {
    hal = h;
    ring = new Uint32Array(h.frame(${FRONT_MFN}).buffer, h.frame(${FRONT_MFN}).byteOffset, 1024);
    for (let i = 0; i < ${DISK_PAGES}; i++) { const w = h.page(i); disk.push(new Uint8Array(w.buffer, w.byteOffset, 4096)); }
    for (let i = 0; i < 32; i++) { const w = h.frame(${FRONT_MFN} + 2 + i); data.push(new Uint8Array(w.buffer, w.byteOffset, 4096)); }
  };
  exports.enter = () => {
    const end = ring[0];
    while (consumed !== end) {
      const at = RING + (consumed & 31) * SLOT;
      const op = ring[at] & 255, id = ring[at + 2], sector = ring[at + 4], gref = ring[at + 6];
      const first = ring[at + 7] & 255, last = (ring[at + 7] >>> 8) & 255;
      consumed++;
      if (op !== 0 || last > 7 || first > last || sector >= ${DISK_PAGES * 8}) throw new Error("bad request");
      data[gref].set(disk[sector >>> 3]);
      const to = RING + (produced & 31) * SLOT;
      ring[to] = id;
      ring[to + 1] = 0;
      ring[to + 2] = 0;
      produced++;
    }
    ring[2] = produced;
  };
})`;

function spec(slot: number, mfnBase: number, controlMfn: number, code: string): DomainSpec {
  return {
    slot,
    domid: slot,
    mfnBase,
    pages: PAGES,
    controlMfn,
    limits: { heap: 16 << 20, stack: 128 << 10, fuel: 1e6 },
    kernel: { code, file: `floor-${slot}.js` },
    bundle: () => null,
    manifest: () => null,
    list: () => [],
    hypercall: () => 0,
    mayAccess: () => true,
    isDying: () => false,
  };
}

async function makeEngine(name: EngineName): Promise<Engine> {
  return name === "quickjs" ? createQuickJSEngine(FRAMES, 64 << 20) : createV8Engine(FRAMES);
}

/** Requests per second of the bare ring, over about `seconds` seconds of wall time. */
export async function measureFloor(name: EngineName, depth: number, seconds: number): Promise<number> {
  const engine = await makeEngine(name);
  const word = (mfn: number, index: number) => (engine.memory.base + mfn * 4096) / 4 + index;
  engine.memory.u32[word(FRONT_MFN + 1, 0)] = depth;
  const front = engine.createDomain(spec(0, FRONT_MFN, 0, FRONT));
  const back = engine.createDomain(spec(1, BACK_MFN, 1, BACK));
  front.start();
  back.start();
  const done = () => engine.memory.u32[word(0, 600)];
  const round = (): void => {
    front.enter();
    back.enter();
  };
  for (let i = 0; i < 2000; i++) round();
  const first = done();
  const begin = performance.now();
  let elapsed = 0;
  while (elapsed < seconds * 1000) {
    for (let i = 0; i < 200; i++) round();
    elapsed = performance.now() - begin;
  }
  const iops = ((done() - first) * 1000) / elapsed;
  engine.dispose();
  return iops;
}
