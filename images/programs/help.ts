/** help [NAME...]: what there is to type. */
import { type stdio, program_names } from "xenolith/linux/binfmts";
import type { Sleeps } from "xenolith/linux/sched";
import { HELP } from "./lib/help";

/** Exit status 0, or 1 for a name that is none. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  let status = 0;
  const names = argv.length > 1 ? argv.slice(1) : program_names();
  for (const name of names) {
    const usage = Object.hasOwn(HELP, name) ? HELP[name] : null;
    if (usage === null && argv.length > 1) {
      yield* io.error(`help: no program '${name}'\n`);
      status = 1;
    } else yield* io.write(`${name.padEnd(15)} ${usage ?? ""}\n`.replace(/ +\n$/, "\n"));
  }
  if (argv.length > 1) return status;
  yield* io.write(
    "\nIn the shell also: cd, pwd, history, jobs, wait, read, test, export, set, exit, if, for, while, until, time;\n" +
      "a; b  a && b  a || b  a | b  a &  < > >> << 2>&1  $NAME $(a) $? * ?  Tab completes, Up goes back, Ctrl-R searches.\n",
  );
  return status;
}
