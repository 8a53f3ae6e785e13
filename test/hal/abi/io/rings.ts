/** Block rings over bare pages, and pages that count their reads. */
import type { shared_page } from "../../../../hal/guest/page";
import { BLKIF_SLOT_SIZE, blkif_back_ring, blkif_front_ring } from "../../../../kernel/include/xen/interface/io/blkif";
import { BACK_RING_INIT, FRONT_RING_INIT, front_ring } from "../../../../kernel/include/xen/interface/io/ring";

/** The front end's side of a ring with slots of `slotSize` bytes. */
export function frontRing(slotSize: number, pages: shared_page[]): front_ring {
  const ring = slotSize === BLKIF_SLOT_SIZE ? new blkif_front_ring() : new front_ring(slotSize);
  FRONT_RING_INIT(ring, pages, pages.length * 4096);
  return ring;
}

/** The back end's side. */
export function backRing(slotSize: number, pages: shared_page[]): blkif_back_ring {
  const ring = new blkif_back_ring(slotSize);
  BACK_RING_INIT(ring, pages, pages.length * 4096);
  return ring;
}

/** Wraps a page so that reads of each word are counted; `change` runs after each read of a word. */
export function watch(page: shared_page, change?: (word: number) => void): Map<number, number> {
  const reads = new Map<number, number>();
  page.words = new Proxy(page.words as Uint32Array, {
    get: (target, key) => {
      const word = Number(key);
      const value = target[word];
      reads.set(word, (reads.get(word) ?? 0) + 1);
      change?.(word);
      return value;
    },
    set: (target, key, value: number) => {
      target[Number(key)] = value;
      return true;
    },
  });
  return reads;
}
