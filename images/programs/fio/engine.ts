/**
 * A running job: as many I/Os in flight as its depth, straight to the device.
 *
 *   next() chooses ─► slot ─► bio ─► submit_bio ─ … ─ end_io: latency, check ─► slot is free again
 */
import { bio_add_page, bio_alloc, bio_put, submit_bio, submit_bio_nowait } from "xenolith/linux/bio";
import { REQ_OP_READ, REQ_OP_WRITE, REQ_SYNC, type bio, type block_device } from "xenolith/linux/blk_types";
import { blk_finish_plug, blk_plug, blk_start_plug } from "xenolith/linux/blkdev";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { ktime_get_ns } from "xenolith/linux/ktime";
import type { page } from "xenolith/linux/mm_types";
import { type Sleeps, cond_resched, need_resched } from "xenolith/linux/sched";
import { wait_event, wait_queue_head, wake_up } from "xenolith/linux/wait";
import { memcpy_from_page, memcpy_to_page } from "xenolith/xen/page";
import { alloc_buffer, free_buffer } from "../lib/buffer";
import { check_block, fill_block } from "./blocks";
import type { job_options } from "./options";

const PAGE_SIZE = 4096;
/** Complaints that are kept; all errors are counted. */
const COMPLAINTS_MAX = 8;

/** What was measured in one direction. */
export class direction {
  issued = 0;
  bytes = 0;
  /** Virtual ns from submission to completion, in order of completion. */
  readonly latencies: number[] = [];
}

interface slot {
  readonly run: job_run;
  readonly pages: page[];
  offset: number;
  started: number;
  /** This read's data are to be checked. */
  verifies: boolean;
  next_free: slot | null;
}

export class job_run {
  readonly read = new direction();
  readonly write = new direction();
  /** First error, positive, and what was wrong. */
  err = 0;
  readonly complaints: string[] = [];
  /** Blocks that were checked. */
  verified = 0;
  elapsed_ns = 0;
  /** Somebody wants it to stop. */
  terminate = false;
  free: slot | null = null;
  busy = 0;
  readonly wq = new wait_queue_head();
  /** Blocks of `bs` bytes that it works on. */
  readonly blocks: number;
  /** 1 for each block that this run has written. */
  readonly written: Uint8Array;
  private state: number;
  private order: Uint32Array | null = null;
  private place = 0;
  private readonly block: Uint8Array;

  constructor(readonly job: job_options, readonly bdev: block_device, bytes: number) {
    this.blocks = Math.floor(bytes / job.bs);
    this.written = new Uint8Array(this.blocks);
    this.state = job.randseed | 1;
    this.block = new Uint8Array(job.bs);
  }

  fail(err: number, text: string): void {
    if (this.err === 0) this.err = err;
    this.terminate = true;
    if (this.complaints.length < COMPLAINTS_MAX) this.complaints.push(text);
  }

  random(below: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % below;
  }

  /** The next block: every one once, in order or not, and then again. */
  next_block(): number {
    const at = this.place++ % this.blocks;
    if (!this.job.rw.startsWith("rand")) return at;
    if (at === 0 || this.order === null) this.order = this.shuffled();
    return this.order[at];
  }

  private shuffled(): Uint32Array {
    const order = Uint32Array.from({ length: this.blocks }, (_, i) => i);
    for (let i = this.blocks - 1; i > 0; i--) {
      const j = this.random(i + 1);
      const kept = order[i];
      order[i] = order[j];
      order[j] = kept;
    }
    return order;
  }

  /** Whether the next I/O reads. */
  next_reads(): boolean {
    const { rw, rwmixread } = this.job;
    if (rw === "rw" || rw === "readwrite" || rw === "randrw") return this.random(100) < rwmixread;
    return rw.endsWith("read");
  }

  fill(taken: slot): void {
    fill_block(this.block, taken.offset, this.job.randseed);
    for (let i = 0; i < taken.pages.length; i++) {
      memcpy_to_page(taken.pages[i], 0, this.block, i * PAGE_SIZE, Math.min(PAGE_SIZE, this.job.bs - i * PAGE_SIZE));
    }
  }

  check(taken: slot): void {
    for (let i = 0; i < taken.pages.length; i++) {
      memcpy_from_page(this.block, i * PAGE_SIZE, taken.pages[i], 0, Math.min(PAGE_SIZE, this.job.bs - i * PAGE_SIZE));
    }
    const wrong = check_block(this.block, taken.offset, this.job.randseed);
    this.verified++;
    if (wrong !== null) this.fail(84, `verify: ${wrong} at file ${this.job.filename} offset ${taken.offset}`);
  }
}

function io_done(ended: bio): void {
  const done = ended.bi_private as slot;
  const { run } = done;
  const reads = (ended.bi_opf & 1) === REQ_OP_READ;
  const to = reads ? run.read : run.write;
  to.latencies.push(ktime_get_ns() - done.started);
  to.bytes += run.job.bs;
  if (ended.bi_status !== 0) {
    run.fail(
      5,
      `io_u error on file ${run.job.filename}: ${reads ? "read" : "write"} offset=${done.offset}, buflen=${run.job.bs}`,
    );
  } else if (done.verifies) run.check(done);
  bio_put(ended);
  done.next_free = run.free;
  run.free = done;
  run.busy--;
  wake_up(run.wq);
}

/** Prepares one I/O. */
function make_io(run: job_run, taken: slot, block: number, reads: boolean, verifies: boolean): bio {
  const { bs, offset } = run.job;
  taken.offset = offset + block * bs;
  taken.verifies = verifies;
  if (!reads && run.job.verify !== "") run.fill(taken);
  if (!reads) run.written[block] = 1;
  const request = bio_alloc(run.bdev, taken.pages.length, (reads ? REQ_OP_READ : REQ_OP_WRITE) | REQ_SYNC, GFP_KERNEL);
  request.bi_iter.bi_sector = taken.offset / 512;
  request.bi_end_io = io_done;
  request.bi_private = taken;
  taken.pages.forEach((data, i) => bio_add_page(request, data, Math.min(PAGE_SIZE, bs - i * PAGE_SIZE), 0));
  run.busy++;
  (reads ? run.read : run.write).issued++;
  taken.started = ktime_get_ns();
  return request;
}

/** Does I/Os until `next` has none or the run is to stop, and waits for all. Sleeps. */
function* pump(run: job_run, next: (taken: slot) => bio | null): Sleeps<void> {
  const plug = new blk_plug();
  let more = true;
  while (more && !run.terminate) {
    if (run.free === null) yield* wait_event(run.wq, () => run.free !== null);
    blk_start_plug(plug);
    while (more && run.free !== null && !run.terminate && !need_resched()) {
      const taken: slot = run.free;
      const request = next(taken);
      more = request !== null;
      if (request === null) break;
      run.free = taken.next_free;
      if (!submit_bio_nowait(request)) yield* submit_bio(request);
    }
    blk_finish_plug(plug);
    // A device that answers at once never lets this task sleep.
    if (need_resched()) yield* cond_resched();
  }
  yield* wait_event(run.wq, () => run.busy === 0);
}

/** The job's own I/Os. */
function* run_phase(run: job_run): Sleeps<void> {
  const { job } = run;
  const start = ktime_get_ns();
  const total = job.number_ios > 0 ? job.number_ios : run.blocks;
  let count = 0;
  const late = (): boolean => job.runtime > 0 && ktime_get_ns() - start >= job.runtime;
  yield* pump(run, (taken) => {
    if (count >= total || late()) return null;
    count++;
    const reads = run.next_reads();
    const block = run.next_block();
    return make_io(
      run,
      taken,
      block,
      reads,
      reads && job.verify !== "" && (job.rw.endsWith("read") || run.written[block] === 1),
    );
  });
  run.elapsed_ns = ktime_get_ns() - start;
}

/** Reads back and checks what was written. Not measured. */
function* verify_phase(run: job_run): Sleeps<void> {
  const { issued, bytes } = run.read;
  const { length } = run.read.latencies;
  let block = 0;
  yield* pump(run, (taken) => {
    while (block < run.blocks && run.written[block] === 0) block++;
    return block < run.blocks ? make_io(run, taken, block++, true, true) : null;
  });
  run.read.issued = issued;
  run.read.bytes = bytes;
  run.read.latencies.length = length;
}

/** Carries a job out. Sleeps. */
export function* run_job(run: job_run): Sleeps<void> {
  const buffers: page[] = [];
  for (let i = 0; i < Math.min(run.job.iodepth, run.blocks); i++) {
    const pages = alloc_buffer(run.job.bs);
    if (pages === null) {
      run.fail(12, `cannot allocate ${run.job.iodepth} buffers of ${run.job.bs} bytes`);
      break;
    }
    buffers.push(...pages);
    run.free = { run, pages, offset: 0, started: 0, verifies: false, next_free: run.free };
  }
  if (!run.terminate) yield* run_phase(run);
  if (!run.terminate && run.job.verify !== "" && run.write.issued > 0) yield* verify_phase(run);
  free_buffer(buffers);
}
