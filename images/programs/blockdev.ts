/**
 * blockdev COMMAND... DEVICE...: asks and tells block devices (util-linux).
 *
 *   --getsize64 bytes · --getsz 512-byte sectors · --getss, --getpbsz logical and physical block · --getro · --setro, --setrw
 *   --flushbufs writes back and forgets the page cache · --rereadpt reads the partition table again
 */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import {
  BLKFLSBUF,
  BLKGETSIZE64,
  BLKPBSZGET,
  BLKROGET,
  BLKROSET,
  BLKRRPART,
  BLKSSZGET,
  O_RDONLY,
  type file,
  filp_close,
  filp_open,
  vfs_ioctl,
} from "xenolith/linux/fs";
import type { Sleeps } from "xenolith/linux/sched";
import { ptr } from "xenolith/linux/types";
import { strerror } from "./lib/strerror";

interface command {
  readonly cmd: number;
  readonly name: string;
  /** What is handed over. */
  readonly value?: number;
  /** What is printed of the answer; nothing without it. */
  print?(answer: number): number;
}

const same = (answer: number): number => answer;

const COMMANDS: Readonly<Record<string, command>> = {
  "--getsize64": { cmd: BLKGETSIZE64, name: "BLKGETSIZE64", print: same },
  "--getsz": { cmd: BLKGETSIZE64, name: "BLKGETSIZE64", print: (answer) => Math.floor(answer / 512) },
  "--getss": { cmd: BLKSSZGET, name: "BLKSSZGET", print: same },
  "--getpbsz": { cmd: BLKPBSZGET, name: "BLKPBSZGET", print: same },
  "--getro": { cmd: BLKROGET, name: "BLKROGET", print: same },
  "--setro": { cmd: BLKROSET, name: "BLKROSET", value: 1 },
  "--setrw": { cmd: BLKROSET, name: "BLKROSET", value: 0 },
  "--flushbufs": { cmd: BLKFLSBUF, name: "BLKFLSBUF" },
  "--rereadpt": { cmd: BLKRRPART, name: "BLKRRPART" },
};

/** Runs the commands on one open device. Returns a complaint, or null. Sleeps. */
function* run(names: readonly string[], device: file, io: stdio): Sleeps<string | null> {
  for (const name of names) {
    const { cmd, name: request, value, print } = COMMANDS[name];
    const arg = ptr(value ?? 0);
    const error = yield* vfs_ioctl(device, cmd, arg);
    if (error < 0) return `ioctl error on ${request}: ${strerror(error)}`;
    if (print !== undefined) yield* io.write(`${print(arg.value)}\n`);
  }
  return null;
}

/** Exit status 0, or 1 after a message. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const names = argv.slice(1).filter((word) => word.startsWith("-"));
  const paths = argv.slice(1).filter((word) => !word.startsWith("-"));
  const unknown = names.find((name) => !Object.hasOwn(COMMANDS, name));
  const wrong = unknown !== undefined ? `Unknown command: ${unknown}` : null;
  const complaint =
    wrong ?? (names.length === 0 ? "no command specified" : paths.length === 0 ? "no device specified" : null);
  if (complaint !== null) {
    yield* io.error(`blockdev: ${complaint}\n`);
    return 1;
  }
  for (const path of paths) {
    const device = yield* filp_open(path, O_RDONLY, 0);
    if (IS_ERR(device)) {
      yield* io.error(`blockdev: cannot open ${path}: ${strerror(PTR_ERR(device))}\n`);
      return 1;
    }
    const failed = yield* run(names, device, io);
    yield* filp_close(device);
    if (failed !== null) {
      yield* io.error(`blockdev: ${failed}\n`);
      return 1;
    }
  }
  return 0;
}
