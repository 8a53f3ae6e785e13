import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { type Libraries, projectAt, projectOf } from "../../build/tidy/project";
import { CHECKS, format, tidy } from "../../build/tidy/tidy";

const root = path.resolve(import.meta.dirname, "../..");
const libraries: Libraries = new Map();

type Files = Readonly<Record<string, string>>;

/** What a check must find, one line each, and the nearest thing that it must leave alone. */
interface Fixture {
  readonly check: string;
  readonly bad: Files;
  readonly found: readonly string[];
  readonly good: Files;
}

const SCHED = `
  export type Sleeps<T> = Generator<void, T, void>;
  export declare function msleep(ms: number): Sleeps<void>;
  export declare function kthread_run(fn: () => Sleeps<number>): void;
  export declare function request_irq(handler: () => void): void;
  export declare function work(fn: () => Sleeps<void> | void): void;
  export interface ops { complete(): void; probe(): Sleeps<number>; }
  export declare function register(o: ops): void;`;
const PAGE = `export interface page { mfn: number; words: Uint32Array | null; bytes: Uint8Array | null; }`;
const PACKAGE = `{"dependencies": {"ajv": "1.0.0"}, "devDependencies": {"vitest": "1.0.0"}}`;

const FIXTURES: readonly Fixture[] = [
  {
    check: "abi-constants",
    bad: { "hal/abi/io.ts": "export const BLKIF_OP_READ = 0;", "drivers/block/x.ts": "const BLKIF_OP_READ = 0;" },
    found: ["drivers/block/x.ts:1: BLKIF_OP_READ is declared by hal/abi/io.ts: import it"],
    good: { "hal/abi/io.ts": "export const BLKIF_OP_READ = 0;", "drivers/block/x.ts": "const MY_OP = 0;" },
  },
  {
    check: "async",
    bad: { "kernel/a.ts": "async function f() {}\nexport async function g() { await f(); }" },
    found: [
      "kernel/a.ts:1: the kernel's scheduler alone decides what runs next: use a generator",
      "kernel/a.ts:2: the kernel's scheduler alone decides what runs next: use a generator",
      "kernel/a.ts:2: the kernel's scheduler alone decides what runs next: use a generator",
    ],
    good: { "hal/host/a.ts": "export async function f() {}" },
  },
  {
    check: "banned-text",
    bad: {
      "docs/a.md": ["see /ho", "me/me/x"].join(""),
      "docs/b.md": ["TO", "DO: all"].join(""),
      "test/c.ts": ["it.on", 'ly("x", () => 0);'].join(""),
      "docs/d.md": ["https://registry.", "npmjs.org"].join(""),
    },
    found: [
      `docs/a.md:1: a path of somebody's machine: ${["see /ho", "me/me/x"].join("")}`,
      `docs/b.md:1: unfinished work: ${["TO", "DO: all"].join("")}`,
      `docs/d.md:1: a package registry: ${["https://registry.", "npmjs.org"].join("")}`,
      `test/c.ts:1: a test that is left out, or leaves out others: ${["it.on", 'ly("x", () => 0);'].join("")}`,
    ],
    good: { "docs/a.md": "the workqueue's work/ folder; todo lists; a hacker" },
  },
  {
    check: "barrels",
    bad: { "hal/host/all.ts": 'export { a } from "./a";', "hal/host/a.ts": "export const a = 1;" },
    found: ["hal/host/all.ts:1: only re-exports"],
    good: { "hal/host/index.ts": 'export { a } from "./a";', "hal/host/a.ts": "export const a = 1;" },
  },
  {
    check: "bundle-contents",
    bad: {
      "kernel/printk.ts": "export function printk() {}\nEXPORT_SYMBOL(printk);",
      "kernel/lib.ts": 'import { printk } from "./printk";\nexport const log = printk;',
      "drivers/block/x.ts": 'import { log } from "../../kernel/lib";\nlog();',
    },
    found: ["drivers/block/x.ts:1: the bundle would contain kernel/printk.ts, which exports symbols"],
    good: {
      "kernel/printk.ts": "export interface level {}\nexport function printk() {}\nEXPORT_SYMBOL(printk);",
      "drivers/block/x/a.ts":
        'import type { level } from "../../../kernel/printk";\nimport { b } from "./b";\nexport const l: level = b;',
      "drivers/block/x/b.ts": "export function b() {}\nEXPORT_SYMBOL(b);",
    },
  },
  {
    check: "declared-exists",
    bad: {
      "kernel/include/linux/a.ts": "export declare function a(): void;\nexport declare const c: number;",
      "kernel/include/linux/b.ts": "export declare function a(): void;",
      "kernel/a.ts": "export function a() {}\nEXPORT_SYMBOL(a);",
    },
    found: [
      "kernel/include/linux/a.ts:2: nobody exports c",
      "kernel/include/linux/b.ts:1: a is declared by kernel/include/linux/a.ts and by kernel/include/linux/b.ts",
    ],
    good: {
      "kernel/include/linux/a.ts": "export declare function a(): void;",
      "kernel/a.ts": "export function a() {}\nEXPORT_SYMBOL(a);",
    },
  },
  {
    check: "declared-types",
    bad: {
      "kernel/include/linux/a.ts": "export declare function a(n: number): number;",
      "kernel/a.ts": 'export function a(n: number): string { return "" + n; }\nEXPORT_SYMBOL(a);',
    },
    found: [
      "kernel/a.ts:2: a is (n: number) => string, but kernel/include/linux/a.ts declares (n: number) => number [declared-types]",
    ],
    good: {
      "kernel/include/linux/a.ts": "export declare function a(n: number): number | null;",
      "kernel/a.ts": "export function a(): number { return 1; }\nEXPORT_SYMBOL(a);",
    },
  },
  {
    check: "default-exports",
    bad: { "hal/host/a.ts": "export default function f() {}", "hal/host/b.ts": "const x = 1;\nexport default x;" },
    found: [
      "hal/host/a.ts:1: no default exports: export it by its name",
      "hal/host/b.ts:2: no default exports: export it by its name",
    ],
    good: { "vitest.config.ts": "export default {};", "hal/host/a.ts": "export function f() {}" },
  },
  {
    check: "exact-math",
    bad: { "kernel/a.ts": "export const f = (x: number) => Math.pow(x, 2) + x ** 3 + Math.random();" },
    found: [
      "kernel/a.ts:1: ** may round differently in another engine",
      "kernel/a.ts:1: Math.pow is not the same in every engine; allowed: sqrt, imul, clz32, floor, ceil, trunc, abs, min, max, fround",
      "kernel/a.ts:1: Math.random is not the same in every engine; allowed: sqrt, imul, clz32, floor, ceil, trunc, abs, min, max, fround",
    ],
    good: {
      "kernel/a.ts": "export const f = (x: number) => Math.imul(x, 2) + 2 ** 20;",
      "hal/host/cli/a.ts": "Math.random();",
    },
  },
  {
    check: "exported-once",
    bad: {
      "kernel/a.ts": "export function a() {}\nEXPORT_SYMBOL(a);",
      "kernel/b.ts": "export function a() {}\nEXPORT_SYMBOL_GPL(a);",
    },
    found: ["kernel/b.ts:2: a is already exported by kernel/a.ts"],
    good: { "kernel/a.ts": "export function a() {}\nexport function b() {}\nEXPORT_SYMBOL(a);\nEXPORT_SYMBOL(b);" },
  },
  {
    check: "file-length",
    bad: { "hal/host/a.ts": "// line\n".repeat(501) },
    found: ["hal/host/a.ts: 501 lines; at most 500"],
    good: {
      "hal/host/a.ts": "// line\n".repeat(500),
      "hal/abi/b.ts": `/** Numbers.\n * tidy: table\n */\n${"//\n".repeat(900)}`,
    },
  },
  {
    check: "guest-globals",
    bad: {
      "kernel/a.ts": 'export const now = () => Date.now();\nsetTimeout(() => 0, 1);\nconsole.log("x");',
      "hal/host/hypervisor/a.ts": "export const now = () => performance.now();",
    },
    found: [
      "hal/host/hypervisor/a.ts:1: performance is not for this code",
      "kernel/a.ts:1: Date is not for this code",
      "kernel/a.ts:2: setTimeout is not for this code",
      "kernel/a.ts:3: console is not for this code",
    ],
    good: {
      "kernel/a.ts":
        "interface struct { Date: number }\nexport const console: struct = { Date: 1 };\nexport const d = console.Date;",
      "hal/host/cli/a.ts": "Date.now();",
    },
  },
  {
    check: "header-instanceof",
    bad: {
      "kernel/include/linux/list.ts": "export class list_head {}",
      "kernel/a.ts":
        'import { list_head } from "xenolith/linux/list";\nexport const f = (x: unknown) => x instanceof list_head;',
    },
    found: ["kernel/a.ts:2: every bundle has its own list_head: instanceof would lie"],
    good: { "kernel/a.ts": "export const f = (x: unknown) => x instanceof Uint8Array;" },
  },
  {
    check: "header-names",
    bad: {
      "kernel/include/linux/list.ts": "export class list_head {}",
      "kernel/a.ts": 'import { list_head } from "./include/linux/list";\nnew list_head();',
    },
    found: ['kernel/a.ts:1: write "xenolith/linux/list" instead of "./include/linux/list"'],
    good: {
      "kernel/include/linux/list.ts": "export class list_head {}",
      "kernel/a.ts": 'import { list_head } from "xenolith/linux/list";\nnew list_head();',
    },
  },
  {
    check: "host-names",
    bad: { "hal/host/a.ts": "export function do_it() {}\nexport class domain_id { get_it() {} }" },
    found: [
      "hal/host/a.ts:1: do_it: names on the host's side are in camelCase",
      "hal/host/a.ts:2: domain_id: names on the host's side are in camelCase",
      "hal/host/a.ts:2: get_it: names on the host's side are in camelCase",
    ],
    good: { "kernel/a.ts": "export function do_it() {}", "hal/host/a.ts": "export const X = { event_channel: 1 };" },
  },
  {
    check: "import-cycles",
    bad: {
      "hal/host/a.ts": 'import { b } from "./b";\nexport const a = () => b;',
      "hal/host/b.ts": 'import { c } from "./c";\nexport const b = () => c;',
      "hal/host/c.ts": 'import { a } from "./a";\nexport const c = () => a;',
    },
    found: ["hal/host/c.ts:1: import cycle: hal/host/a.ts -> hal/host/b.ts -> hal/host/c.ts -> hal/host/a.ts"],
    good: {
      "hal/host/a.ts": 'import { b } from "./b";\nexport const a = () => b;',
      "hal/host/b.ts": 'import type { a } from "./a";\nexport const b: typeof a | null = null;',
    },
  },
  {
    check: "import-directions",
    bad: {
      "package.json": PACKAGE,
      "hal/abi/x.ts": 'import "../guest/page";',
      "hal/guest/page.ts": 'import "../../kernel/main";',
      "kernel/main.ts": 'import "../drivers/xen/bus";\nimport "node:fs";',
      "kernel/include/linux/h.ts": 'import "../../main";',
      "drivers/xen/bus.ts": 'import "../../kernel/main";',
      "drivers/block/front.ts": 'import "./back/module";\nimport "../xen/bus";',
      "drivers/block/back/module.ts": 'import "../front";\nimport "./other";',
      "drivers/block/back/other.ts": "export {};",
      "images/programs/dd.ts": 'import "../../hal/abi/x";',
      "hal/host/machine.ts":
        'import "../../kernel/main";\nimport "vitest";\nimport "fs";\nimport "ajv";\nimport "node:fs";',
    },
    found: [
      "drivers/block/back/module.ts:1: a driver may not import drivers/block/front.ts",
      "drivers/block/front.ts:1: a driver may not import drivers/block/back/module.ts",
      "drivers/block/front.ts:2: a driver may not import drivers/xen/bus.ts",
      "drivers/xen/bus.ts:1: drivers/xen may not import kernel/main.ts",
      "hal/abi/x.ts:1: hal/abi may not import hal/guest/page.ts",
      "hal/guest/page.ts:1: hal/guest may not import kernel/main.ts",
      "hal/host/machine.ts:1: hal/host may not import kernel/main.ts",
      "hal/host/machine.ts:2: vitest is not in package.json's dependencies",
      "hal/host/machine.ts:3: write node:fs",
      "images/programs/dd.ts:1: a program may not import hal/abi/x.ts",
      "kernel/include/linux/h.ts:1: kernel/include may not import kernel/main.ts",
      "kernel/main.ts:1: kernel may not import drivers/xen/bus.ts",
      "kernel/main.ts:2: kernel may not import the package node:fs",
    ],
    good: {
      "package.json": PACKAGE,
      "hal/abi/x.ts": "export {};",
      "hal/guest/page.ts": 'import "../abi/x";',
      "kernel/include/linux/h.ts": 'import type {} from "../../../hal/guest/page";\nimport "../../../hal/abi/x";',
      "kernel/main.ts": 'import "virtual:initcalls";\nimport "xenolith/linux/h";\nimport "../hal/guest/page";',
      "drivers/xen/bus.ts": 'import "xenolith/linux/h";\nimport "../../hal/guest/page";',
      "drivers/block/back/module.ts": 'import "./other";\nimport "xenolith/linux/h";',
      "drivers/block/back/other.ts": 'import "../../../hal/abi/x";',
      "hal/host/cli/main.ts": 'export const b = () => import("xenolith/build");',
      "build/index.ts": 'import "vitest";',
      "test/kit/index.ts": 'import "xenolith/linux/h";',
    },
  },
  {
    check: "locale",
    bad: { "kernel/a.ts": 'export const f = (n: number) => n.toLocaleString() + "a".localeCompare("b");' },
    found: [
      "kernel/a.ts:1: localeCompare depends on the engine's tables",
      "kernel/a.ts:1: toLocaleString depends on the engine's tables",
    ],
    good: { "kernel/a.ts": "export const f = (n: number) => n.toString(16);" },
  },
  {
    check: "module-state",
    bad: {
      "hal/host/a.ts":
        "let count = 0;\nconst cache = new Map<string, number>();\nexport const f = () => [count++, cache];",
    },
    found: [
      "hal/host/a.ts:1: count is module state: keep it in an object",
      "hal/host/a.ts:2: cache is module state: keep it in an object",
    ],
    good: {
      "hal/host/a.ts":
        "// tidy: memo, of a file that never changes\nlet text: string | null = null;\nexport const g = () => (text ??= '');\nconst NONE: readonly string[] = [];\nconst KEYS = new Map([[1, 2]]);\nexport const f = () => [NONE, KEYS];",
      "kernel/a.ts": "let count = 0;\nexport const f = () => count++;",
    },
  },
  {
    check: "page-views",
    bad: {
      "kernel/include/linux/page.ts": PAGE,
      "drivers/block/x.ts":
        'import type { page } from "xenolith/linux/page";\nexport const f = (p: page) => p.words![0];\nexport const g = (p: page) => p.bytes?.fill(0);',
    },
    found: [
      "drivers/block/x.ts:2: a page's words are touched only in hal/guest/page.ts: use page_read32 and the like",
      "drivers/block/x.ts:3: a page's bytes are touched only in hal/guest/page.ts: use page_read32 and the like",
    ],
    good: {
      "kernel/include/linux/page.ts": PAGE,
      "drivers/block/x.ts":
        'import type { page } from "xenolith/linux/page";\nexport const f = (p: page) => p.words === null;\nexport const g = (t: { words: number }) => t.words;',
    },
  },
  {
    check: "sleeps-callbacks",
    bad: {
      "kernel/include/linux/sched.ts": SCHED,
      "drivers/block/x.ts": `
        import { type Sleeps, msleep, register, request_irq } from "xenolith/linux/sched";
        function* handler(): Sleeps<void> { yield* msleep(1); }
        request_irq(handler);
        request_irq(function* (): Sleeps<void> { yield* msleep(1); });
        register({ complete: handler, *probe(): Sleeps<number> { return 0; } });
        register({ *complete(): Sleeps<void> { yield* msleep(1); }, *probe(): Sleeps<number> { return 0; } });
        const hook: () => void = handler;
        hook();`,
    },
    found: [
      "drivers/block/x.ts:4: handler may sleep, but a plain callback is called here",
      "drivers/block/x.ts:5: the function may sleep, but a plain callback is called here",
      "drivers/block/x.ts:6: handler may sleep, but a plain callback is called here",
      "drivers/block/x.ts:7: complete may sleep, but it is declared plain",
      "drivers/block/x.ts:8: handler may sleep, but a plain callback is called here",
    ],
    good: {
      "kernel/include/linux/sched.ts": SCHED,
      "drivers/block/x.ts": `
        import { type Sleeps, kthread_run, msleep, register, request_irq, work } from "xenolith/linux/sched";
        function* thread(): Sleeps<number> { yield* msleep(1); return 0; }
        function* worker(): Sleeps<void> { yield* msleep(1); }
        function complete(): void {}
        kthread_run(thread);
        work(worker);
        work(complete);
        request_irq(complete);
        register({ complete, probe: thread });`,
    },
  },
  {
    check: "sleeps-used",
    bad: {
      "kernel/include/linux/sched.ts": SCHED,
      "drivers/block/x.ts": `
        import { type Sleeps, msleep } from "xenolith/linux/sched";
        export function irq(): void { msleep(1); }
        export function* task(maybe: () => Sleeps<number> | number): Sleeps<void> {
          const later = msleep(2);
          void msleep(3);
          maybe();
          yield* later;
        }`,
    },
    found: [
      "drivers/block/x.ts:3: msleep may sleep: without yield* it does nothing",
      "drivers/block/x.ts:5: msleep may sleep: its value must be the operand of yield*, returned, or handed on as Sleeps",
      "drivers/block/x.ts:6: msleep may sleep: without yield* it does nothing",
      "drivers/block/x.ts:7: maybe may sleep: without yield* it does nothing",
    ],
    good: {
      "kernel/include/linux/sched.ts": SCHED,
      "drivers/block/x.ts": `
        import { type Sleeps, msleep } from "xenolith/linux/sched";
        export declare function spawn(body: Sleeps<void>): void;
        export const nap = (): Sleeps<void> => msleep(1);
        export function* task(maybe: () => Sleeps<number> | number, fast: boolean): Sleeps<number> {
          yield* fast ? msleep(1) : msleep(2);
          spawn(msleep(3));
          const r = maybe();
          return typeof r === "object" ? yield* r : r;
        }
        export function pass(): Sleeps<void> { return msleep(4); }`,
    },
  },
  {
    check: "stateless-headers",
    bad: { "kernel/include/linux/a.ts": "export let count = 0;\nexport declare let jiffies: number;" },
    found: [
      "kernel/include/linux/a.ts:1: headers hold no state",
      "kernel/include/linux/a.ts:2: declare a function instead of a variable",
    ],
    good: { "kernel/include/linux/a.ts": "export const HZ = 1000;\nexport declare const system_wq: object;" },
  },
  {
    check: "top-level",
    bad: { "src/a.ts": "export {};", "notes.md": "" },
    found: ["notes.md: does not belong at the top level", "src: does not belong at the top level"],
    good: { "README.md": "", "hal/abi/a.ts": "export {};" },
  },
  {
    check: "try-catch",
    bad: { "drivers/xen/a.ts": "try { f(); } finally { f(); }\nfunction f() {}" },
    found: ["drivers/xen/a.ts:1: no try in kernel and drivers: return a negative errno"],
    good: { "hal/host/a.ts": "try { f(); } finally { f(); }\nfunction f() {}" },
  },
  {
    check: "yield-in-for-of",
    bad: {
      "drivers/xen/a.ts":
        "declare function names(): Generator<void, string[], void>;\nexport function* f() {\n  for (const name of (yield* names()).slice(1)) void name;\n}",
    },
    found: ["drivers/xen/a.ts:3: QuickJS cannot run a yield in the head of for-of: put its result into a const first"],
    good: {
      "drivers/xen/a.ts":
        "declare function names(): Generator<void, string[], void>;\nexport function* f() {\n  const all = yield* names();\n  for (const name of all) yield;\n}",
    },
  },
  {
    check: "wire-offsets",
    bad: {
      "drivers/block/x.ts":
        "declare function page_read32(p: object, i: number): number;\nexport const f = (p: object, at: number) => page_read32(p, 3) + page_read32(p, at + 12);",
      "hal/host/x.ts": "export const f = (v: DataView) => v.getUint32(8, true);",
    },
    found: [
      "drivers/block/x.ts:2: wire offset 3: name it in hal/abi",
      "drivers/block/x.ts:2: wire offset at + 12: name it in hal/abi",
      "hal/host/x.ts:1: wire offset 8: name it in hal/abi",
    ],
    good: {
      "drivers/block/x.ts":
        "declare function page_read32(p: object, i: number): number;\nexport const f = (p: object, at: number) => page_read32(p, 0) + page_read32(p, at + 1);",
    },
  },
];

function findings(check: string, files: Files): string[] {
  const checks = CHECKS.filter(({ name }) => name === check);
  return tidy(projectOf(root, files, libraries), checks).map(format);
}

describe.each(FIXTURES)("tidy: $check", ({ check, bad, found, good }) => {
  it("finds what is wrong", () => {
    expect(findings(check, bad).sort()).toEqual(
      found.map((line) => `${line.replace(/ \[.*\]$/, "")} [${check}]`).sort(),
    );
  });

  it("leaves alone what is right", () => {
    expect(findings(check, good)).toEqual([]);
  });
});

it("tidy: every check has a fixture that it must find", () => {
  expect(FIXTURES.map(({ check }) => check).sort()).toEqual(CHECKS.map(({ name }) => name).sort());
});

it("tidy: the project is tidy", () => {
  expect(tidy(projectAt(root)).map(format)).toEqual([]);
});
