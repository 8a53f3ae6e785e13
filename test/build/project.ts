/** A small project to compile in tests: a kernel of four files, one module, one program, one machine. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

const FILES: Readonly<Record<string, string>> = {
  "package.json": '{"version": "9.8.7"}',
  "images/machines/default.json": '{"version":1}\n',
  "kernel/include/linux/printk.ts": `
    export declare function printk(text: string): void;
    export function pr_info(text: string): void { printk(text + "\\n"); }`,
  "kernel/include/linux/module.ts": `
    export declare function EXPORT_SYMBOL(symbol: unknown): void;
    export declare function module_init(init: () => number): void;
    export declare function MODULE_LICENSE(text: string): void;
    export declare function MODULE_PARM_DESC(name: string, text: string): void;
    export declare function module_param_named(name: string, value: object, type: string, perm: number): void;`,
  "kernel/module.ts": `
    export const symbols = new Map<string, unknown>();
    export function EXPORT_SYMBOL(name: unknown, symbol?: unknown): void { symbols.set(name as string, symbol); }
    export function module_init(init: () => number): void { symbols.set("init", init); }
    export function MODULE_LICENSE(): void {}
    export function MODULE_PARM_DESC(): void {}
    export function module_param_named(): void {}
    EXPORT_SYMBOL("EXPORT_SYMBOL", EXPORT_SYMBOL);
    EXPORT_SYMBOL("module_init", module_init);
    EXPORT_SYMBOL("MODULE_LICENSE", MODULE_LICENSE);
    EXPORT_SYMBOL("MODULE_PARM_DESC", MODULE_PARM_DESC);
    EXPORT_SYMBOL("module_param_named", module_param_named);`,
  "kernel/printk.ts": `
    import { EXPORT_SYMBOL } from "./module";
    export const log: string[] = [];
    export function printk(text: string): void { log.push(text); }
    EXPORT_SYMBOL(printk);`,
  "kernel/main.ts": `
    import { pr_info } from "xenolith/linux/printk";
    import { symbols } from "./module";
    import { log } from "./printk";
    export function boot(): void { if (__DEBUG__) pr_info("debug kernel"); else pr_info("release kernel"); }
    export function enter(): void { throw new Error("bug"); }
    export { log, symbols };`,
  "drivers/block/brd.ts": `
    import { MODULE_LICENSE, MODULE_PARM_DESC, module_init, module_param_named } from "xenolith/linux/module";
    import { pr_info } from "xenolith/linux/printk";
    const rd_nr = { value: 16 };
    module_param_named("rd_nr", rd_nr, "int", 0o444);
    MODULE_PARM_DESC("rd_nr", "Maximum number of " + "brd devices");
    function brd_init(): number { pr_info("brd: module loaded"); return 0; }
    module_init(brd_init);
    MODULE_LICENSE("GPL");`,
  "images/programs/true.ts": `export function main(): number { return 0; }`,
};

/** Writes the project, with some files replaced, added, or (null) left out, into a new folder, and returns its path. */
export function makeProject(changes: Readonly<Record<string, string | null>> = {}): string {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-project-"));
  for (const [name, text] of Object.entries({ ...FILES, ...changes })) {
    if (text === null) continue;
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    fs.writeFileSync(path.join(root, name), text.replace(/^ +/gm, ""));
  }
  return root;
}
