/**
 * iops: 4 KiB random reads, as fast as the stack goes. For measuring from outside: it prints its virtual time only.
 *
 *   iops DEVICE [depth=N] [ops=N] [seed=N]
 */
import { bio_add_page, bio_alloc, bio_put, bio_reuse, submit_bio, submit_bio_nowait } from "xenolith/linux/bio";
import { REQ_OP_READ, REQ_SYNC, type bio, type block_device } from "xenolith/linux/blk_types";
import { bdev_nr_sectors, blk_finish_plug, blk_plug, blk_start_plug } from "xenolith/linux/blkdev";
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { O_DIRECT, O_RDONLY, filp_close, filp_open } from "xenolith/linux/fs";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { ktime_get_ns } from "xenolith/linux/ktime";
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import { wait_event, wait_queue_head, wake_up } from "xenolith/linux/wait";
import { alloc_buffer, free_buffer } from "./lib/buffer";
import { strerror } from "./lib/strerror";

/** One read in flight, at most: its bio is used over and over. */
interface slot {
  readonly run: measurement;
  readonly request: bio;
  next_free: slot | null;
}

interface measurement {
  readonly bdev: block_device;
  readonly blocks: number;
  readonly wq: wait_queue_head;
  state: number;
  free: slot | null;
  busy: number;
  errors: number;
}

function read_done(ended: bio): void {
  const done = ended.bi_private as slot;
  const run = done.run;
  if (ended.bi_status !== 0) run.errors++;
  const next = run.free;
  done.next_free = next;
  run.free = done;
  // Whoever waits waits for the first free slot, or for the last read.
  if (--run.busy === 0 || next === null) wake_up(run.wq);
}

/** The next block: xorshift32. */
function next_block(run: measurement): number {
  let x = run.state;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  run.state = x;
  return (x >>> 0) % run.blocks;
}

/** Adds a slot that reads into `data`. */
function add_slot(run: measurement, data: page): void {
  const request = bio_alloc(run.bdev, 1, REQ_OP_READ | REQ_SYNC, GFP_KERNEL);
  bio_add_page(request, data, 4096, 0);
  request.bi_end_io = read_done;
  run.free = { run, request, next_free: run.free };
  request.bi_private = run.free;
}

function make_read(run: measurement, taken: slot): bio {
  const request = taken.request;
  bio_reuse(request, REQ_OP_READ | REQ_SYNC);
  const iter = request.bi_iter;
  iter.bi_sector = next_block(run) * 8;
  iter.bi_size = 4096;
  run.busy++;
  return request;
}

function* run_reads(run: measurement, ops: number): Sleeps<void> {
  const plug = new blk_plug();
  const has_free = (): boolean => run.free !== null;
  for (let issued = 0; issued < ops; ) {
    if (run.free === null) yield* wait_event(run.wq, has_free);
    blk_start_plug(plug);
    while (run.free !== null && issued < ops) {
      const taken: slot = run.free;
      run.free = taken.next_free;
      issued++;
      const request = make_read(run, taken);
      if (!submit_bio_nowait(request)) yield* submit_bio(request);
    }
    blk_finish_plug(plug);
  }
  yield* wait_event(run.wq, () => run.busy === 0);
}

function option(argv: readonly string[], name: string, otherwise: number): number {
  const word = argv.find((word) => word.startsWith(`${name}=`));
  const value = word === undefined ? otherwise : Number(word.slice(name.length + 1));
  return Number.isInteger(value) && value > 0 ? value : -1;
}

/** Exit status 0, 1 when a read failed, 2 for wrong usage. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const [depth, ops, seed] = [option(argv, "depth", 32), option(argv, "ops", 10000), option(argv, "seed", 1)];
  if (argv.length < 2 || depth < 0 || ops < 0 || seed < 0) {
    yield* io.error("usage: iops DEVICE [depth=N] [ops=N] [seed=N]\n");
    return 2;
  }
  const opened = yield* filp_open(argv[1], O_RDONLY | O_DIRECT, 0);
  if (IS_ERR(opened)) {
    yield* io.error(`iops: ${argv[1]}: ${strerror(PTR_ERR(opened))}\n`);
    return 1;
  }
  const bdev = opened.private_data as block_device;
  const blocks = Math.floor(bdev_nr_sectors(bdev) / 8);
  const run: measurement = { bdev, blocks, wq: new wait_queue_head(), state: seed, free: null, busy: 0, errors: 0 };
  const pages = alloc_buffer(depth * 4096);
  if (pages === null) {
    yield* io.error(`iops: no memory for ${depth} pages\n`);
    return 1;
  }
  for (const data of pages) add_slot(run, data);
  const start = ktime_get_ns();
  yield* run_reads(run, ops);
  yield* io.write(`${ops} reads, ${run.errors} errors, ${ktime_get_ns() - start} ns\n`);
  for (let each = run.free; each !== null; each = each.next_free) bio_put(each.request);
  free_buffer(pages);
  yield* filp_close(opened);
  return run.errors === 0 ? 0 : 1;
}
