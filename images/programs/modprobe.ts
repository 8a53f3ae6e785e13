/** modprobe [-r] MODULE [PARAMETER=VALUE...]: loads a module with those that it depends on; with -r unloads it with those that are left unused. */
import type { stdio } from "xenolith/linux/binfmts";
import { delete_module, find_module, modinfo, request_module } from "xenolith/linux/module";
import type { Sleeps } from "xenolith/linux/sched";
import { getopt } from "./lib/getopt";
import { module_error } from "./lib/module-error";

/** Unloads a module, then those that it used and nobody uses any more. Returns a complaint, or null. Sleeps. */
function* remove(name: string): Sleeps<string | null> {
  const mod = find_module(name);
  if (mod === null) return modinfo(name) === null ? not_found(name) : null;
  const uses = [...mod.uses];
  const error = yield* delete_module(mod.name);
  if (error < 0) return `FATAL: Module ${mod.name} is in use.`;
  for (const used of uses) if (used.refcnt === 0) yield* remove(used.name);
  return null;
}

function not_found(name: string): string {
  return `FATAL: Module ${name} not found in directory modules`;
}

function* insert(name: string, parameters: string): Sleeps<string | null> {
  const error = yield* request_module(name, parameters);
  if (error >= 0) return null;
  if (error === -2 && modinfo(name) === null) return not_found(name);
  return `ERROR: could not insert '${name.replaceAll("-", "_")}': ${module_error(error)}`;
}

/** Exit status 0, or 1 after a message. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const { options, operands, complaint } = getopt(argv, { short: "r", long: { remove: "r" } });
  let failed = complaint ?? (operands.length === 0 ? "ERROR: missing parameters. See -h." : null);
  if (failed === null && !options.has("r")) failed = yield* insert(operands[0], operands.slice(1).join(" "));
  if (options.has("r")) for (const name of operands) failed ??= yield* remove(name);
  if (failed === null) return 0;
  yield* io.error(`modprobe: ${failed}\n`);
  return 1;
}
