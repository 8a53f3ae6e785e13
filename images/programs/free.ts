/** free: memory in KiB, from /proc/meminfo. */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR } from "xenolith/linux/err";
import { read_text_file } from "xenolith/linux/fs";
import { kasprintf } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";

/** Exit status 0, or 1 without /proc/meminfo. */
export function* main(_argv: readonly string[], io: stdio): Sleeps<number> {
  const text = yield* read_text_file("/proc/meminfo");
  if (IS_ERR(text)) {
    yield* io.error("free: cannot read /proc/meminfo\n");
    return 1;
  }
  const value = (name: string): number => Number(new RegExp(`^${name}: *(\\d+) kB$`, "m").exec(text)?.[1] ?? 0);
  const [total, left, available, cache] = ["MemTotal", "MemFree", "MemAvailable", "Buffers"].map(value);
  yield* io.write("               total        used        free  buff/cache   available\n");
  yield* io.write(kasprintf("Mem:    %12d%12d%12d%12d%12d\n", total, total - left - cache, left, cache, available));
  return 0;
}
