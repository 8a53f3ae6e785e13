/** lsmod: lists the loaded modules, their sizes and users. */
import type { stdio } from "xenolith/linux/binfmts";
import { for_each_module } from "xenolith/linux/module";
import { kasprintf } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";

/** Exit status 0. */
export function* main(_argv: readonly string[], io: stdio): Sleeps<number> {
  yield* io.write("Module                  Size  Used by\n");
  for (const module of for_each_module()) {
    const users = module.used_by.map((user) => user.name).join(",");
    yield* io.write(kasprintf("%-20s %7d  %d %s", module.name, module.size, module.refcnt, users).trimEnd() + "\n");
  }
  return 0;
}
