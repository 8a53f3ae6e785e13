/** rmmod MODULE...: unloads modules. */
import type { stdio } from "xenolith/linux/binfmts";
import { delete_module, find_module } from "xenolith/linux/module";
import type { Sleeps } from "xenolith/linux/sched";
import { strerror } from "./lib/strerror";

function explain(name: string, error: number): string {
  const users = find_module(name)?.used_by.map((user) => user.name) ?? [];
  if (error === -2) return `Module ${name} is not currently loaded`;
  if (users.length > 0) return `Module ${name} is in use by: ${users.join(" ")}`;
  if (error === -16 || error === -11) return `Module ${name} is in use`;
  return `could not remove module ${name}: ${strerror(error)}`;
}

/** Exit status 0, or 1 after a message. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  let status = 0;
  for (const name of argv.slice(1)) {
    const error = yield* delete_module(name);
    if (error >= 0) continue;
    yield* io.error(`rmmod: ERROR: ${explain(name, error)}\n`);
    status = 1;
  }
  return status;
}
