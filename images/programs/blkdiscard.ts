/**
 * blkdiscard [-f] [-s | -z] [-o OFFSET] [-l LENGTH] [-p STEP] [-v] DEVICE: drops sectors of a device (util-linux).
 *
 *   -o, --offset   where to begin, bytes              -s, --secure    and make them unreadable
 *   -l, --length   how much; to the end by default    -z, --zeroout   write zeros instead
 *   -p, --step     so much at a time                  -f, --force     even if somebody holds the device
 */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import {
  BLKDISCARD,
  BLKGETSIZE64,
  BLKSECDISCARD,
  BLKSSZGET,
  BLKZEROOUT,
  O_EXCL,
  O_RDWR,
  type file,
  filp_close,
  filp_open,
  vfs_ioctl,
} from "xenolith/linux/fs";
import type { Sleeps } from "xenolith/linux/sched";
import { ptr } from "xenolith/linux/types";
import { getopt } from "./lib/getopt";
import { strerror } from "./lib/strerror";
import { strtosize } from "./lib/strtosize";

const OPTIONS = {
  short: "fo:l:p:svz",
  long: { force: "f", offset: "o", length: "l", step: "p", secure: "s", verbose: "v", zeroout: "z" },
};

/** What was asked for. */
interface discard_range {
  readonly cmd: number;
  offset: number;
  /** Infinity: to the end. */
  length: number;
  readonly step: number;
  readonly verbose: boolean;
}

const NAMES: Readonly<Record<number, string>> = {
  [BLKDISCARD]: "BLKDISCARD",
  [BLKSECDISCARD]: "BLKSECDISCARD",
  [BLKZEROOUT]: "BLKZEROOUT",
};
const DONE: Readonly<Record<number, string>> = { [BLKZEROOUT]: "Zero-filled" };

function parse_range(options: ReadonlyMap<string, string>): discard_range | string {
  const sizes: Record<string, number> = { o: 0, l: Infinity, p: 0 };
  for (const letter of Object.keys(sizes)) {
    const text = options.get(letter);
    if (text === undefined) continue;
    sizes[letter] = strtosize(text);
    const name = { o: "offset", l: "length", p: "step" }[letter];
    if (sizes[letter] < 0) return `failed to parse ${name}: '${text}'`;
  }
  return {
    cmd: options.has("s") ? BLKSECDISCARD : options.has("z") ? BLKZEROOUT : BLKDISCARD,
    offset: sizes.o,
    length: sizes.l,
    step: sizes.p,
    verbose: options.has("v"),
  };
}

/** Checks the range against the device and cuts it to its end. Returns a complaint, or null. Sleeps. */
function* fit(range: discard_range, device: file): Sleeps<string | null> {
  const [size, sector] = [ptr(0), ptr(0)];
  const error = yield* vfs_ioctl(device, BLKGETSIZE64, size);
  if (error < 0) return `BLKGETSIZE64 ioctl failed: ${strerror(error)}`;
  yield* vfs_ioctl(device, BLKSSZGET, sector);
  const aligned = (what: string, value: number): string | null =>
    value % sector.value === 0 ? null : `${what} ${value} is not aligned to sector size ${sector.value}`;
  if (range.offset > size.value) return "offset is greater than device size";
  range.length = Math.min(range.length, size.value - range.offset);
  return aligned("offset", range.offset) ?? aligned("length", range.length) ?? aligned("step", range.step);
}

/** Drops the range, step by step. Returns a complaint, or null. Sleeps. */
function* drop(range: discard_range, device: file, path: string, io: stdio): Sleeps<string | null> {
  const step = range.step === 0 ? range.length : range.step;
  const end = range.offset + range.length;
  for (let at = range.offset; at < end; at += step) {
    const length = Math.min(step, end - at);
    const error = yield* vfs_ioctl(device, range.cmd, [at, length]);
    if (error < 0) return `${NAMES[range.cmd]} ioctl failed: ${strerror(error)}`;
    const done = DONE[range.cmd] ?? "Discarded";
    if (range.verbose) yield* io.write(`${path}: ${done} ${length} bytes from the offset ${at}\n`);
  }
  return null;
}

/** Exit status 0, or 1 after a message. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const { options, operands, complaint } = getopt(argv, OPTIONS);
  const range = parse_range(options);
  const usage = complaint ?? (operands.length === 0 ? "no device specified" : null);
  const wrong = usage ?? (operands.length > 1 ? "unexpected number of arguments" : null);
  if (wrong !== null || typeof range === "string") {
    yield* io.error(`blkdiscard: ${wrong ?? String(range)}\n`);
    return 1;
  }
  const path = operands[0];
  const device = yield* filp_open(path, O_RDWR | (options.has("f") ? 0 : O_EXCL), 0);
  if (IS_ERR(device)) {
    yield* io.error(`blkdiscard: cannot open ${path}: ${strerror(PTR_ERR(device))}\n`);
    return 1;
  }
  const failed = (yield* fit(range, device)) ?? (yield* drop(range, device, path, io));
  yield* filp_close(device);
  if (failed === null) return 0;
  yield* io.error(`blkdiscard: ${path}: ${failed}\n`);
  return 1;
}
