/**
 * fio: I/O jobs on block devices, measured in virtual time.
 *
 *   fio --name=NAME --filename=DEVICE [--rw=randread] [--bs=4k] [--iodepth=32] [--size=16M] [--number_ios=N] [--verify=crc32c]
 *       [--randseed=N] [--rwmixread=PERCENT] [--offset=BYTES] [--runtime=TIME]
 *   fio FILE | -           a job file, `-` for standard input
 *
 * Jobs run beside each other. SIGINT stops them and prints what there is.
 */
import { bdev_nr_bytes } from "xenolith/linux/blkdev";
import type { block_device } from "xenolith/linux/blk_types";
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import {
  O_DIRECT,
  O_RDONLY,
  O_RDWR,
  S_IFBLK,
  S_IFMT,
  type file,
  filp_close,
  filp_open,
  read_text_file,
} from "xenolith/linux/fs";
import { kthread_run } from "xenolith/linux/kthread";
import { type Sleeps, current, flush_signals } from "xenolith/linux/sched";
import { SIGINT } from "xenolith/linux/signal";
import { wait_event_interruptible, wait_queue_head, wake_up } from "xenolith/linux/wait";
import { job_run, run_job } from "./fio/engine";
import { type job_options, parse_job_file, parse_words } from "./fio/options";
import { group_report, job_report, opening } from "./fio/report";
import { strerror } from "./lib/strerror";

const STATUS_INTERRUPTED = 128 + SIGINT;

interface started_job {
  readonly run: job_run;
  readonly opened: file;
  pid: number;
}

/** All of standard input. */
function* read_all(io: stdio): Sleeps<string> {
  let text = "";
  for (;;) {
    const more = yield* io.read(4096);
    if (IS_ERR(more) || more === "") return text;
    text += more;
  }
}

/** Jobs of the command line and of job files, or a complaint. Sleeps. */
function* jobs_of(argv: readonly string[], io: stdio): Sleeps<job_options[] | string> {
  const line = parse_words(argv.slice(1));
  if (typeof line === "string") return line;
  const jobs = [...line.jobs];
  for (const path of line.files) {
    const text = path === "-" ? yield* read_all(io) : yield* read_text_file(path);
    if (IS_ERR(text)) return `fio: unable to open '${path}' job file: ${strerror(PTR_ERR(text))}`;
    const found = parse_job_file(text);
    if (typeof found === "string") return found;
    jobs.push(...found);
  }
  if (jobs.length === 0) return "No job(s) defined; try: fio --name=test --filename=/dev/xvda --rw=randread";
  return jobs;
}

/** Opens a job's device. Returns a complaint when it cannot be used. Sleeps. */
function* prepare(job: job_options): Sleeps<started_job | string> {
  if (job.filename === "") return `fio: ${job.name}: no filename= given`;
  const opened = yield* filp_open(job.filename, O_DIRECT | (job.rw.endsWith("read") ? O_RDONLY : O_RDWR), 0);
  if (IS_ERR(opened)) return `fio: ${job.filename}: ${strerror(PTR_ERR(opened))}`;
  if (((opened.f_inode?.i_mode ?? 0) & S_IFMT) !== S_IFBLK) {
    yield* filp_close(opened);
    return `fio: ${job.filename}: not a block device`;
  }
  const bdev = opened.private_data as block_device;
  const left = Math.max(0, bdev_nr_bytes(bdev) - job.offset);
  const run = new job_run(job, bdev, job.size === 0 ? left : Math.min(job.size, left));
  if (run.blocks > 0) return { run, opened, pid: 0 };
  yield* filp_close(opened);
  return `fio: ${job.filename}: no block of ${job.bs} bytes fits at offset ${job.offset}`;
}

/** Runs all jobs beside each other. Returns whether they were interrupted. Sleeps. */
function* run_jobs(jobs: readonly started_job[]): Sleeps<boolean> {
  const ended = new wait_queue_head();
  let running = 0;
  for (const job of jobs) {
    const body = function* (run: job_run): Sleeps<number> {
      yield* run_job(run);
      running--;
      wake_up(ended);
      return 0;
    };
    const task = kthread_run(body, job.run, "fio");
    if (IS_ERR(task)) job.run.fail(12, "cannot make a task");
    else {
      running++;
      job.pid = task.pid;
    }
  }
  let interrupted = false;
  while ((yield* wait_event_interruptible(ended, () => running === 0)) !== 0) {
    interrupted = true;
    flush_signals(current());
    for (const { run } of jobs) run.terminate = true;
  }
  return interrupted;
}

function* close_all(jobs: readonly started_job[]): Sleeps<void> {
  for (const { opened } of jobs) yield* filp_close(opened);
}

/** Exit status 0, 1 when a job failed or cannot be understood, 130 after SIGINT. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const wanted = yield* jobs_of(argv, io);
  if (typeof wanted === "string") {
    yield* io.error(`${wanted}\n`);
    return 1;
  }
  const jobs: started_job[] = [];
  for (const job of wanted) {
    const prepared = yield* prepare(job);
    if (typeof prepared !== "string") jobs.push(prepared);
    else {
      yield* close_all(jobs);
      yield* io.error(`${prepared}\n`);
      return 1;
    }
  }
  for (const { run } of jobs) yield* io.write(opening(run));
  yield* io.write(`Starting ${jobs.length} ${jobs.length === 1 ? "thread" : "threads"}\n`);
  const interrupted = yield* run_jobs(jobs);
  yield* close_all(jobs);
  if (interrupted) yield* io.write(`\nfio: terminating on signal ${SIGINT}\n`);
  for (const { run, pid } of jobs) {
    for (const text of run.complaints) yield* io.error(`fio: ${text}\n`);
    yield* io.write(job_report(run, pid));
  }
  yield* io.write(group_report(jobs.map(({ run }) => run)));
  if (interrupted) return STATUS_INTERRUPTED;
  return jobs.some(({ run }) => run.err !== 0) ? 1 : 0;
}
