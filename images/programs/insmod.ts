/** insmod MODULE [PARAMETER=VALUE...]: loads one module of the image, without those that it depends on. */
import type { stdio } from "xenolith/linux/binfmts";
import { init_module, modinfo } from "xenolith/linux/module";
import type { Sleeps } from "xenolith/linux/sched";
import { module_error } from "./lib/module-error";

/** Exit status 0, or 1 after a message. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  if (argv.length < 2) {
    yield* io.error("insmod: no module name: insmod MODULE [PARAMETER=VALUE...]\n");
    return 1;
  }
  const name = argv[1].replace(/^.*\//, "").replace(/\.ko$/, "");
  const error = yield* init_module(name, argv.slice(2).join(" "));
  if (error >= 0) return 0;
  if (error === -2 && modinfo(name) === null) {
    yield* io.error(`insmod: ERROR: could not load module ${argv[1]}: No such file or directory\n`);
    return 1;
  }
  yield* io.error(`insmod: ERROR: could not insert module ${argv[1]}: ${module_error(error)}\n`);
  return 1;
}
