/** dmesg: prints the kernel's messages. */
import type { stdio } from "xenolith/linux/binfmts";
import { printk_format, printk_read } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";

/** Exit status 0. */
export function* main(_argv: readonly string[], io: stdio): Sleeps<number> {
  for (let seq = 0; ; ) {
    const record = printk_read(seq);
    if (record === null) return 0;
    yield* io.write(`${printk_format(record)}\n`);
    seq = record.seq + 1;
  }
}
