/** Scatter lists: an array of page pieces, filled from a request by `blk_rq_map_sg`. */
import type { page } from "xenolith/linux/mm_types";

/** struct scatterlist: one piece. */
export class scatterlist {
  page: page | null = null;
  /** Bytes into the page. */
  offset = 0;
  /** Bytes. */
  length = 0;
  /** Whether it is the last piece in use. */
  end = false;
}

/** A list of `nents` empty entries. Linux: an array and sg_init_table. */
export function sg_alloc(nents: number): scatterlist[] {
  const sgl: scatterlist[] = [];
  for (let i = 0; i < nents; i++) sgl.push(new scatterlist());
  sg_init_table(sgl, nents);
  return sgl;
}

/** Clears the first `nents` entries and marks the last of them. Linux: sg_init_table. */
export function sg_init_table(sgl: scatterlist[], nents: number): void {
  for (let i = 0; i < nents; i++) {
    const sg = sgl[i];
    sg.page = null;
    sg.offset = 0;
    sg.length = 0;
    sg.end = i === nents - 1;
  }
}

/** The entry's page. Only for an entry that is in use. */
export function sg_page(sg: scatterlist): page {
  return sg.page as page;
}

/** Fills an entry. */
export function sg_set_page(sg: scatterlist, page: page, len: number, offset: number): void {
  sg.page = page;
  sg.offset = offset;
  sg.length = len;
}

export function sg_is_last(sg: scatterlist): boolean {
  return sg.end;
}

export function sg_mark_end(sg: scatterlist): void {
  sg.end = true;
}

export function sg_unmark_end(sg: scatterlist): void {
  sg.end = false;
}
