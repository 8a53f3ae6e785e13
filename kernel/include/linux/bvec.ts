/**
 * A run of bytes in physically contiguous pages, and the place where somebody walking such runs stands.
 *
 * A bio_vec may cover several pages; they are then contiguous both in the guest's numbering and in machine frames. Whoever needs one page
 * at a time walks with `bio_next_segment` or `rq_next_segment`.
 */
import type { page } from "xenolith/linux/mm_types";
import type { sector_t } from "xenolith/linux/types";

/** struct bio_vec. */
export class bio_vec {
  /** First page. */
  bv_page: page;
  /** Bytes. */
  bv_len: number;
  /** Bytes into the first page. */
  bv_offset: number;

  constructor(bv_page: page, bv_len: number, bv_offset: number) {
    this.bv_page = bv_page;
    this.bv_len = bv_len;
    this.bv_offset = bv_offset;
  }
}

/** struct bvec_iter: where a bio stands in its vectors. */
export class bvec_iter {
  /** Device address in 512-byte sectors. */
  bi_sector: sector_t = 0;
  /** Bytes left. */
  bi_size = 0;
  /** Index of the current bio_vec. */
  bi_idx = 0;
  /** Bytes of the current bio_vec that are done. */
  bi_bvec_done = 0;
}
