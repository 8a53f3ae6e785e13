/** Byte arrays that are mostly zeros, kept as the pages that are not. Disks and memories are saved that way. */

/** Bytes of a page. */
export const SPARSE_PAGE = 4096;

/** What of an array is not zero; plain data. */
export interface SparseBytes {
  /** Bytes of the array. */
  readonly length: number;
  /** Numbers of the pages that are not zero, ascending. */
  readonly pages: Uint32Array;
  /** Their contents in that order, each a whole page. */
  readonly bytes: Uint8Array;
}

const ZEROS = new Uint8Array(SPARSE_PAGE);

/** The same bytes with Buffer's methods, which compare fast. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Whether a page holds nothing but zeros; the last page of an array may be short. */
export function isZeroPage(bytes: Buffer, page: number): boolean {
  const start = page * SPARSE_PAGE;
  const end = Math.min(start + SPARSE_PAGE, bytes.length);
  return bytes.compare(ZEROS, 0, end - start, start, end) === 0;
}

/** Copies the pages, given in ascending order, out of an array. */
export function copyPages(from: Uint8Array, pages: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(pages.length * SPARSE_PAGE).buffer);
  forEachRun(pages, (first, count, at) => {
    const run = from.subarray(first * SPARSE_PAGE, (first + count) * SPARSE_PAGE);
    bytes.set(run, at * SPARSE_PAGE);
    bytes.fill(0, at * SPARSE_PAGE + run.length, (at + count) * SPARSE_PAGE);
  });
  return bytes;
}

/** Copies pages back. What lies beyond the end of `to` is left out. */
export function pastePages(to: Uint8Array, { pages, bytes }: Pick<SparseBytes, "pages" | "bytes">): void {
  forEachRun(pages, (first, count, at) => {
    const size = Math.min(count * SPARSE_PAGE, to.length - first * SPARSE_PAGE);
    to.set(bytes.subarray(at * SPARSE_PAGE, at * SPARSE_PAGE + size), first * SPARSE_PAGE);
  });
}

/** The pages of an array that are not zero. */
export function saveSparse(bytes: Uint8Array): SparseBytes {
  const buffer = asBuffer(bytes);
  const found = new Uint32Array(Math.ceil(bytes.length / SPARSE_PAGE));
  let count = 0;
  for (let page = 0; page < found.length; page++) if (!isZeroPage(buffer, page)) found[count++] = page;
  const pages = found.slice(0, count);
  return { length: bytes.length, pages, bytes: copyPages(bytes, pages) };
}

/** A new array that is what the saved one was. Its zeros are the host's: they take no memory until somebody looks. */
export function expandSparse(saved: SparseBytes): Uint8Array {
  const bytes = new Uint8Array(saved.length);
  pastePages(bytes, saved);
  return bytes;
}

/** Makes an array what it was. Throws RangeError when it is not as long. */
export function loadSparse(to: Uint8Array, saved: SparseBytes): void {
  if (to.length !== saved.length) throw new RangeError(`${to.length} bytes cannot become ${saved.length}`);
  const buffer = asBuffer(to);
  const pageCount = Math.ceil(to.length / SPARSE_PAGE);
  let next = 0;
  for (let page = 0; page < pageCount; page++) {
    if (saved.pages[next] === page) next++;
    else if (!isZeroPage(buffer, page)) to.fill(0, page * SPARSE_PAGE, (page + 1) * SPARSE_PAGE);
  }
  pastePages(to, saved);
}

/** Calls `body` with each run of consecutive numbers: the first, how many, and where in the list it begins. */
function forEachRun(pages: Uint32Array, body: (first: number, count: number, at: number) => void): void {
  for (let at = 0; at < pages.length; ) {
    let count = 1;
    while (at + count < pages.length && pages[at + count] === pages[at] + count) count++;
    body(pages[at], count, at);
    at += count;
  }
}
