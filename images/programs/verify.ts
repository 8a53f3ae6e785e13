/**
 * verify: writes checksummed blocks in random order, reads all of them back, and says what it believes is on the disk.
 *
 *   verify DEVICE [first=BLOCK] [blocks=N] [depth=N] [seed=N] [rewrite=PERCENT]
 *
 * A block is 4096 bytes: a header of eight words, then a sequence of words that follows from the header.
 *
 *   word 0 magic "XLBK" · 1 seed · 2 block · 3 generation · 4 first · 5 step · 6 zero · 7 check = mix of words 0 to 6
 *   word i ≥ 8 = first + i * step (mod 2^32)
 *
 * `first` and `step` come from seed, block and generation, so that a block in the wrong place, an old block or a flipped bit is found. The last
 * lines of the output are for the host, which makes the same bytes again and compares the file: `generations INDEX DIGITS` (one digit a block, counted
 * from `first`, 0 where nothing was written) and `result JSON`.
 */
import { bio_add_page, bio_alloc, bio_put, submit_bio, submit_bio_nowait } from "xenolith/linux/bio";
import { REQ_OP_READ, REQ_OP_WRITE, REQ_SYNC, type bio, type block_device } from "xenolith/linux/blk_types";
import { bdev_nr_sectors, blk_finish_plug, blk_plug, blk_start_plug } from "xenolith/linux/blkdev";
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { O_DIRECT, O_RDWR, filp_close, filp_open, vfs_fsync } from "xenolith/linux/fs";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { ktime_get_ns } from "xenolith/linux/ktime";
import { __free_page, alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import { wait_event, wait_queue_head, wake_up } from "xenolith/linux/wait";
import { page_read32, page_write32 } from "xenolith/xen/page";
import { strerror } from "./lib/strerror";

const MAGIC = 0x4b424c58;
const WORDS = 1024;
const HEADER_WORDS = 8;
/** Complaints that are printed; all are counted. */
const COMPLAINTS_MAX = 8;
/** Generations that one output line names. */
const LINE_BLOCKS = 1024;

/** Mixes a word into a hash (murmur3's steps). */
function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) >>> 0;
}

function first_of(seed: number, block: number, generation: number): number {
  return mix(mix(mix(seed, block), generation), 1);
}

/** Odd, so that no two words of a block are equal. */
function step_of(first: number): number {
  return (mix(first, 2) | 1) >>> 0;
}

function fill_block(to: page, seed: number, block: number, generation: number): void {
  const first = first_of(seed, block, generation);
  const step = step_of(first);
  const header = [MAGIC, seed, block, generation, first, step, 0];
  let check = 0;
  for (let i = 0; i < header.length; i++) {
    page_write32(to, i, header[i]);
    check = mix(check, header[i]);
  }
  page_write32(to, 7, check);
  let word = (first + Math.imul(HEADER_WORDS, step)) >>> 0;
  for (let i = HEADER_WORDS; i < WORDS; i++) {
    page_write32(to, i, word);
    word = (word + step) >>> 0;
  }
}

/** What is wrong with a block, or null. */
function check_block(of: page, seed: number, block: number, generation: number): string | null {
  let check = 0;
  for (let i = 0; i < 7; i++) check = mix(check, page_read32(of, i));
  if (page_read32(of, 0) !== MAGIC) return "has no header";
  if (page_read32(of, 7) !== check) return "has a header with a bad checksum";
  if (page_read32(of, 1) !== seed) return `was written with seed ${page_read32(of, 1)}`;
  if (page_read32(of, 2) !== block) return `holds block ${page_read32(of, 2)}`;
  if (page_read32(of, 3) !== generation) return `holds generation ${page_read32(of, 3)} instead of ${generation}`;
  const step = page_read32(of, 5);
  let word = (page_read32(of, 4) + Math.imul(HEADER_WORDS, step)) >>> 0;
  for (let i = HEADER_WORDS; i < WORDS; i++) {
    if (page_read32(of, i) !== word) return `differs at byte ${i * 4}`;
    word = (word + step) >>> 0;
  }
  return null;
}

/** A reproducible order of 0 .. count-1 (Fisher and Yates, xorshift32). */
function shuffled(count: number, seed: number): number[] {
  let state = seed === 0 ? 0x9e3779b9 : seed;
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const j = (state >>> 0) % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** One of `depth` operations that may be in flight. */
interface slot {
  readonly run: workload;
  readonly data: page;
  block: number;
  started: number;
  next_free: slot | null;
}

interface workload {
  readonly bdev: block_device;
  readonly seed: number;
  /** The disk's block that index 0 of `generations` is. */
  readonly first: number;
  readonly generations: Uint8Array;
  readonly wq: wait_queue_head;
  readonly latencies: number[];
  readonly complaints: string[];
  free: slot | null;
  busy: number;
  ops: number;
  errors: number;
  verified: number;
}

function complain(run: workload, text: string): void {
  run.errors++;
  if (run.complaints.length < COMPLAINTS_MAX) run.complaints.push(text);
}

function slot_done(ended: bio): void {
  const done = ended.bi_private as slot;
  const { run } = done;
  const is_read = (ended.bi_opf & 1) === 0;
  run.latencies.push(ktime_get_ns() - done.started);
  run.ops++;
  if (ended.bi_status !== 0)
    complain(run, `block ${done.block}: ${is_read ? "read" : "write"} failed (${ended.bi_status})`);
  else if (is_read) verify_slot(done);
  bio_put(ended);
  done.next_free = run.free;
  run.free = done;
  run.busy--;
  wake_up(run.wq);
}

function verify_slot(done: slot): void {
  const { run, block } = done;
  const wrong = check_block(done.data, run.seed, block, run.generations[block - run.first]);
  if (wrong === null) run.verified++;
  else complain(run, `block ${block}: ${wrong}`);
}

/** Issues one operation on each block of `order`, counted from the first one, as many at a time as there are slots, and waits for all. Sleeps. */
function* run_pass(run: workload, order: readonly number[], op: number): Sleeps<void> {
  const plug = new blk_plug();
  for (let i = 0; i < order.length; ) {
    if (run.free === null) yield* wait_event(run.wq, () => run.free !== null);
    blk_start_plug(plug);
    while (run.free !== null && i < order.length) {
      const taken: slot = run.free;
      run.free = taken.next_free;
      yield* issue(run, taken, order[i++], op);
    }
    blk_finish_plug(plug);
  }
  yield* wait_event(run.wq, () => run.busy === 0);
}

function* issue(run: workload, taken: slot, index: number, op: number): Sleeps<void> {
  const block = run.first + index;
  taken.block = block;
  if (op === REQ_OP_WRITE) fill_block(taken.data, run.seed, block, ++run.generations[index]);
  const request = bio_alloc(run.bdev, 1, op | REQ_SYNC, GFP_KERNEL);
  request.bi_iter.bi_sector = block * 8;
  request.bi_end_io = slot_done;
  request.bi_private = taken;
  bio_add_page(request, taken.data, 4096, 0);
  run.busy++;
  taken.started = ktime_get_ns();
  if (!submit_bio_nowait(request)) yield* submit_bio(request);
}

/** Makes the slots. False when the domain has no memory for them. */
function make_slots(run: workload, depth: number, pages: page[]): boolean {
  for (let i = 0; i < depth; i++) {
    const data = alloc_page(GFP_KERNEL);
    if (data === null) return false;
    pages.push(data);
    run.free = { run, data, block: 0, started: 0, next_free: run.free };
  }
  return true;
}

function percentile(sorted: readonly number[], fraction: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))];
}

function report(run: workload, elapsed_ns: number): string {
  let text = "";
  for (let at = 0; at < run.generations.length; at += LINE_BLOCKS) {
    text += `generations ${at} ${run.generations.subarray(at, at + LINE_BLOCKS).join("")}\n`;
  }
  const sorted = [...run.latencies].sort((a, b) => a - b);
  const latencyNs = {
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    max: percentile(sorted, 1),
  };
  const { ops, errors, verified } = run;
  const iopsVirtual = elapsed_ns === 0 ? 0 : Math.floor((ops * 1e9) / elapsed_ns);
  return `${text}result ${JSON.stringify({ ops, errors, verified, iopsVirtual, latencyNs, elapsedNs: elapsed_ns })}\n`;
}

function option(argv: readonly string[], name: string, otherwise: number): number {
  const word = argv.find((word) => word.startsWith(`${name}=`));
  const value = word === undefined ? otherwise : Number(word.slice(name.length + 1));
  return Number.isInteger(value) && value >= 0 ? value : -1;
}

function* run_all(
  run: workload,
  blocks: number,
  rewrite: number,
  opened: Parameters<typeof vfs_fsync>[0],
): Sleeps<void> {
  yield* run_pass(run, shuffled(blocks, run.seed ^ 0x5bd1e995), REQ_OP_WRITE);
  const again = shuffled(blocks, run.seed ^ 0x27d4eb2f).slice(0, Math.floor((blocks * rewrite) / 100));
  yield* run_pass(run, again, REQ_OP_WRITE);
  const error = yield* vfs_fsync(opened, 0);
  if (error !== 0) complain(run, `flush failed: ${strerror(error)}`);
  yield* run_pass(run, shuffled(blocks, run.seed ^ 0x165667b1), REQ_OP_READ);
}

/** Exit status 0 when every block is as it should be, 1 when not, 2 for wrong usage. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const [depth, seed, rewrite] = [option(argv, "depth", 32), option(argv, "seed", 1), option(argv, "rewrite", 25)];
  const [first, limit] = [option(argv, "first", 0), option(argv, "blocks", 4096)];
  if (argv.length < 2 || depth < 1 || seed < 0 || rewrite < 0 || first < 0 || limit < 1) {
    yield* io.error("usage: verify DEVICE [first=BLOCK] [blocks=N] [depth=N] [seed=N] [rewrite=PERCENT]\n");
    return 2;
  }
  const opened = yield* filp_open(argv[1], O_RDWR | O_DIRECT, 0);
  if (IS_ERR(opened)) {
    yield* io.error(`verify: ${argv[1]}: ${strerror(PTR_ERR(opened))}\n`);
    return 1;
  }
  const bdev = opened.private_data as block_device;
  const blocks = Math.max(0, Math.min(limit, Math.floor(bdev_nr_sectors(bdev) / 8) - first));
  const run: workload = {
    bdev,
    seed: seed >>> 0,
    first,
    generations: new Uint8Array(blocks),
    wq: new wait_queue_head(),
    latencies: [],
    complaints: [],
    free: null,
    busy: 0,
    ops: 0,
    errors: 0,
    verified: 0,
  };
  const pages: page[] = [];
  if (!make_slots(run, depth, pages)) complain(run, "not enough memory");
  const start = ktime_get_ns();
  if (run.errors === 0) yield* run_all(run, blocks, rewrite, opened);
  const elapsed = ktime_get_ns() - start;
  for (const data of pages) __free_page(data);
  yield* filp_close(opened);
  for (const text of run.complaints) yield* io.error(`verify: ${text}\n`);
  yield* io.write(report(run, elapsed));
  return run.errors === 0 && run.verified === blocks ? 0 : 1;
}
