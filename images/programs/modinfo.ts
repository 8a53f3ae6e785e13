/** modinfo MODULE...: what modules of the image say of themselves. */
import type { stdio } from "xenolith/linux/binfmts";
import { type module_info, modinfo } from "xenolith/linux/module";
import type { Sleeps } from "xenolith/linux/sched";

function row(label: string, value: string): string {
  return `${`${label}:`.padEnd(15)} ${value}\n`;
}

function rows(label: string, values: readonly string[]): string {
  return values.map((value) => row(label, value)).join("");
}

function describe(info: module_info): string {
  const params = info.params.map(({ name, type, description }) => `${name}:${description}${type && ` (${type})`}`);
  return (
    row("filename", `modules/${info.name}.js`) +
    rows(
      "version",
      [info.version].filter((version) => version !== ""),
    ) +
    rows("author", info.authors) +
    rows(
      "description",
      [info.description].filter((description) => description !== ""),
    ) +
    row("license", info.license) +
    rows("alias", info.aliases) +
    rows("softdep", info.softdep) +
    row("depends", info.depends.map((name) => name.replaceAll("-", "_")).join(",")) +
    row("name", info.name.replaceAll("-", "_")) +
    rows("parm", params)
  );
}

/** Exit status 0, or 1 if the image has no such module. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  let status = 0;
  if (argv.length < 2) {
    yield* io.error("modinfo: ERROR: missing module or filename.\n");
    return 1;
  }
  for (const name of argv.slice(1)) {
    const info = modinfo(name);
    if (info === null) {
      yield* io.error(`modinfo: ERROR: Module ${name} not found.\n`);
      status = 1;
    } else yield* io.write(describe(info));
  }
  return status;
}
