/**
 * dd: copies blocks between files (POSIX dd, and the flags of GNU's that matter to block devices).
 *
 *   dd [if=FILE] [of=FILE] [bs=N] [count=N] [skip=N] [seek=N] [iflag=direct] [oflag=direct,sync,dsync] [conv=fsync,fdatasync,notrunc] [status=none]
 */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import {
  O_CREAT,
  O_DIRECT,
  O_DSYNC,
  O_RDONLY,
  O_SYNC,
  O_WRONLY,
  type file,
  filp_close,
  filp_open,
  get_file,
  vfs_fsync,
  vfs_iter_read,
  vfs_iter_write,
} from "xenolith/linux/fs";
import { ktime_get_ns } from "xenolith/linux/ktime";
import type { page } from "xenolith/linux/mm_types";
import { kasprintf } from "xenolith/linux/printk";
import { type Sleeps, cond_resched, current, flush_signals, need_resched, signal_pending } from "xenolith/linux/sched";
import { SIGINT } from "xenolith/linux/signal";
import { iov_iter } from "xenolith/linux/uio";
import { alloc_buffer, free_buffer } from "./lib/buffer";
import { strerror } from "./lib/strerror";

const FLAGS: Readonly<Record<string, number>> = { direct: O_DIRECT, dsync: O_DSYNC, sync: O_SYNC, fullblock: 0 };
const CONVERSIONS = ["fsync", "fdatasync", "notrunc", "nocreat", "noerror"];
const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  c: 1,
  w: 2,
  b: 512,
  k: 1024,
  K: 1024,
  M: 1024 * 1024,
  G: 1024 * 1024 * 1024,
  kB: 1000,
  KB: 1000,
  MB: 1000 * 1000,
  GB: 1000 * 1000 * 1000,
  KiB: 1024,
  MiB: 1024 * 1024,
  GiB: 1024 * 1024 * 1024,
};

interface operands {
  input: string;
  output: string;
  bs: number;
  count: number;
  skip: number;
  seek: number;
  iflag: number;
  oflag: number;
  conv: string[];
  quiet: boolean;
}

/** `4k`, `1M`, `512`, `2x512`: the number, or -1. */
function parse_number(text: string): number {
  let product = 1;
  for (const factor of text.split("x")) {
    const match = /^(\d+)([a-zA-Z]*)$/.exec(factor);
    if (match === null || !Object.hasOwn(UNITS, match[2])) return -1;
    product *= Number(match[1]) * UNITS[match[2]];
  }
  return Number.isSafeInteger(product) ? product : -1;
}

function parse_flags(text: string): number {
  let flags = 0;
  for (const name of text.split(",")) {
    if (!Object.hasOwn(FLAGS, name)) return -1;
    flags |= FLAGS[name];
  }
  return flags;
}

/** Sets one operand. Returns a complaint, or null. */
function set_operand(to: operands, key: string, value: string): string | null {
  const number = parse_number(value);
  switch (key) {
    case "if":
      to.input = value;
      return null;
    case "of":
      to.output = value;
      return null;
    case "bs":
    case "count":
    case "skip":
    case "seek":
      if (number < 0 || (key === "bs" && number === 0)) return `invalid number: '${value}'`;
      to[key] = number;
      return null;
    case "iflag":
    case "oflag":
      to[key] = parse_flags(value);
      return to[key] < 0 ? `invalid ${key === "iflag" ? "input" : "output"} flag: '${value}'` : null;
    case "conv":
      to.conv = value.split(",");
      return to.conv.every((name) => CONVERSIONS.includes(name)) ? null : `invalid conversion: '${value}'`;
    case "status":
      to.quiet = value === "none";
      return ["none", "noxfer", "progress"].includes(value) ? null : `invalid status level: '${value}'`;
    default:
      return `unrecognized operand '${key}=${value}'`;
  }
}

function parse(argv: readonly string[]): operands | string {
  const result: operands = {
    input: "",
    output: "",
    bs: 512,
    count: Number.MAX_SAFE_INTEGER,
    skip: 0,
    seek: 0,
    iflag: 0,
    oflag: 0,
    conv: [],
    quiet: false,
  };
  for (const word of argv.slice(1)) {
    const equals = word.indexOf("=");
    if (equals < 0) return `unrecognized operand '${word}'`;
    const complaint = set_operand(result, word.slice(0, equals), word.slice(equals + 1));
    if (complaint !== null) return complaint;
  }
  return result;
}

interface totals {
  full_in: number;
  part_in: number;
  full_out: number;
  part_out: number;
  bytes: number;
}

/** The last, partial block may not fit a direct write: it goes through the cache, and is made durable like the others. */
function turn_off_direct(op: operands, output: file): void {
  if ((output.f_flags & O_DIRECT) === 0) return;
  output.f_flags &= ~O_DIRECT;
  op.conv.push("fsync");
}

/** Copies until the count or the input ends. Returns the message of the error that stopped it, or null. Sleeps. */
function* copy(op: operands, input: file, output: file, pages: page[], sum: totals): Sleeps<string | null> {
  input.f_pos.value = op.skip * op.bs;
  output.f_pos.value = op.seek * op.bs;
  for (let i = 0; i < op.count; i++) {
    const got = yield* vfs_iter_read(input, new iov_iter(pages, 0, op.bs), null);
    if (got < 0) return `error reading '${op.input}': ${strerror(got)}`;
    if (got === 0) return null;
    if (got === op.bs) sum.full_in++;
    else sum.part_in++;
    if (got < op.bs) turn_off_direct(op, output);
    const put = yield* vfs_iter_write(output, new iov_iter(pages, 0, got), null);
    if (put < 0) return `error writing '${op.output}': ${strerror(put)}`;
    if (put === op.bs) sum.full_out++;
    else if (put > 0) sum.part_out++;
    sum.bytes += put;
    if (need_resched()) yield* cond_resched(); // some files never sleep
    if (put < got) return `error writing '${op.output}': ${strerror(-28)}`;
  }
  return null;
}

const SI = ["B", "kB", "MB", "GB", "TB"];
const IEC = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `512 B`, `4.2 MB`, `17 MB`: one decimal below ten of a unit. */
function human(bytes: number, base: number, units: readonly string[]): string {
  let value = bytes;
  let unit = 0;
  while (value >= base && unit < units.length - 1) {
    value /= base;
    unit++;
  }
  const tenths = Math.floor(value * 10 + 0.5);
  if (unit === 0 || tenths >= 100) return `${Math.floor(value + 0.5)} ${units[unit]}`;
  return kasprintf("%d.%d %s", Math.floor(tenths / 10), tenths % 10, units[unit]);
}

/** ` (1.0 kB, 1.0 KiB)`, as far as it says more than the number of bytes. */
function abbreviations(bytes: number): string {
  if (bytes < 1000) return "";
  const si = human(bytes, 1000, SI);
  return bytes < 1024 ? ` (${si})` : ` (${si}, ${human(bytes, 1024, IEC)})`;
}

function summary(sum: totals, elapsed_ns: number): string {
  const records = `${sum.full_in}+${sum.part_in} records in\n${sum.full_out}+${sum.part_out} records out\n`;
  const speed = elapsed_ns === 0 ? "Infinity B" : human(Math.floor((sum.bytes * 1e9) / elapsed_ns), 1000, SI);
  const seconds = kasprintf("%d.%09d", Math.floor(elapsed_ns / 1e9), Math.floor(elapsed_ns) % 1e9);
  const bytes = sum.bytes === 1 ? "byte" : "bytes";
  return `${records}${sum.bytes} ${bytes}${abbreviations(sum.bytes)} copied, ${seconds} s, ${speed}/s\n`;
}

/** Opens both files (standard input and output where none is named), copies, and makes it durable if asked. Returns the complaint, or null. Sleeps. */
function* run(op: operands, sum: totals, io: stdio): Sleeps<string | null> {
  const input = op.input === "" ? get_file(io.files[0]) : yield* filp_open(op.input, O_RDONLY | op.iflag, 0);
  if (IS_ERR(input)) return `failed to open '${op.input}': ${strerror(PTR_ERR(input))}`;
  const output =
    op.output === "" ? get_file(io.files[1]) : yield* filp_open(op.output, O_WRONLY | O_CREAT | op.oflag, 0o666);
  if (IS_ERR(output)) {
    yield* filp_close(input);
    return `failed to open '${op.output}': ${strerror(PTR_ERR(output))}`;
  }
  const pages = alloc_buffer(op.bs);
  let complaint = pages === null ? `memory exhausted by input buffer of size ${op.bs} bytes` : null;
  if (pages !== null) {
    complaint = yield* copy(op, input, output, pages, sum);
    free_buffer(pages);
  }
  if (op.conv.includes("fsync") || op.conv.includes("fdatasync")) {
    const error = yield* vfs_fsync(output, op.conv.includes("fsync") ? 0 : 1);
    if (error !== 0) complaint ??= `fsync failed for '${op.output}': ${strerror(error)}`;
  }
  yield* filp_close(output);
  yield* filp_close(input);
  return complaint;
}

/** Exit status 0, 1 after a message, 130 after SIGINT. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const op = parse(argv);
  if (typeof op === "string") {
    yield* io.error(`dd: ${op}\n`);
    return 1;
  }
  const sum: totals = { full_in: 0, part_in: 0, full_out: 0, part_out: 0, bytes: 0 };
  const start = ktime_get_ns();
  let complaint = yield* run(op, sum, io);
  const interrupted = signal_pending(current());
  if (interrupted) {
    flush_signals(current()); // to say how far it came
    complaint = null;
  }
  if (complaint !== null) yield* io.error(`dd: ${complaint}\n`);
  if (!op.quiet) yield* io.error(summary(sum, ktime_get_ns() - start));
  if (interrupted) return 128 + SIGINT;
  return complaint === null ? 0 : 1;
}
