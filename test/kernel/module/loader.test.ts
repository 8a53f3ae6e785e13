import { expect, test } from "vitest";
import type { BundleFactory } from "../../../hal/abi/hal";
import { msleep } from "xenolith/linux/delay";
import { EAGAIN, EBUSY, EEXIST, EINVAL, ENODEV, ENOENT } from "xenolith/linux/errno";
import {
  delete_module,
  find_module,
  for_each_module,
  init_module,
  module_put,
  register_module_notifier,
  request_module,
  try_module_get,
  type module,
} from "xenolith/linux/module";
import { sysfs_lookup, sysfs_read, sysfs_write, type sysfs_dirent } from "xenolith/linux/sysfs";
import { ptr } from "xenolith/linux/types";
import { EXPORT_SYMBOL_GPL } from "../../../kernel/module/ksymtab";
import { bootBareKernel, type BareModule } from "../../kit/bare-kernel";

const log: string[] = [];
const max = ptr(32);

type Ksym = (name: string) => (...args: unknown[]) => unknown;

function bareModule(undefinedSymbols: string[], manifest: object, body: (ksym: Ksym) => void): BareModule {
  const factory: BundleFactory = (ksym) => body(ksym as Ksym);
  return { factory, manifest: { undefined: undefinedSymbols, ...manifest } };
}

const MACROS = ["module_init", "module_exit", "module_param_named", "MODULE_LICENSE", "EXPORT_SYMBOL"];

const kernel = bootBareKernel({
  cmdline: "user-mod.max_segments=128",
  modules: {
    "lib-mod": bareModule(MACROS, {}, (ksym) => {
      ksym("EXPORT_SYMBOL")("lib_double", (n: number) => n * 2);
      ksym("module_init")(() => (log.push("lib init"), 0));
      ksym("module_exit")(() => void log.push("lib exit"));
    }),
    "user-mod": bareModule([...MACROS, "lib_double"], { depends: ["lib-mod"], aliases: ["xen:vbd"] }, (ksym) => {
      ksym("MODULE_LICENSE")("Dual MIT/GPL");
      ksym("module_param_named")("max_segments", max, "uint", 0o644);
      ksym("module_init")(function* () {
        yield* msleep(3);
        log.push(`user init ${ksym("lib_double")(max.value)}`);
        return 0;
      });
      ksym("module_exit")(() => void log.push("user exit"));
    }),
    broken: bareModule(["module_init", "no_such_symbol", "nor_this"], {}, () => log.push("broken ran")),
    failing: bareModule(MACROS, {}, (ksym) => {
      ksym("EXPORT_SYMBOL")("failing_symbol", 1);
      ksym("module_init")(() => -ENODEV);
    }),
    proprietary: bareModule([...MACROS, "gpl_helper"], { license: "Proprietary" }, () => undefined),
    copyleft: bareModule([...MACROS, "gpl_helper"], { license: "Dual MIT/GPL" }, () => undefined),
    permanent: bareModule(MACROS, {}, (ksym) => void ksym("module_init")(() => 0)),
  },
});

test("init_module: an unresolved symbol is named, and nothing of the module runs", () => {
  expect(kernel.run(() => init_module("broken", ""))).toBe(-ENOENT);
  expect(log).toEqual([]);
  expect(kernel.log.slice(-2).map((line) => line.replace(/.*\] /, ""))).toEqual([
    "broken: Unknown symbol no_such_symbol (err -2)",
    "broken: Unknown symbol nor_this (err -2)",
  ]);
  expect(kernel.run(() => init_module("user-mod", ""))).toBe(-ENOENT);
  expect(kernel.run(() => init_module("absent", ""))).toBe(-ENOENT);
});

test("request_module: dependencies first, parameters of the command line and of the caller, names with - or _, aliases", () => {
  expect(kernel.run(() => request_module("xen:vbd"))).toBe(0);
  expect(log).toEqual(["lib init", "user init 256"]);
  expect([...for_each_module()].map((mod) => mod.name)).toEqual(["user_mod", "lib_mod"]);
  const lib = find_module("lib-mod") as module;
  expect(lib.used_by.map((mod) => mod.name)).toEqual(["user_mod"]);
  expect(kernel.run(() => init_module("user_mod", ""))).toBe(-EEXIST);
  expect(kernel.run(() => request_module("user_mod"))).toBe(0);
});

test("/sys/module: state, references, and parameters that can be written where their mode allows", () => {
  const node = (path: string): sysfs_dirent => sysfs_lookup(path) as sysfs_dirent;
  expect(sysfs_read(node("/module/user_mod/initstate"))).toBe("live\n");
  expect(sysfs_read(node("/module/lib_mod/refcnt"))).toBe("1\n");
  const parameter = node("/module/user_mod/parameters/max_segments");
  expect(sysfs_read(parameter)).toBe("128\n");
  expect(kernel.run(() => sysfs_write(parameter, "256\n"))).toBe(4);
  expect(max.value).toBe(256);
  expect(kernel.run(() => sysfs_write(parameter, "-1\n"))).toBe(-EINVAL);
});

test("delete_module: not while others use it or hold it; then its exit runs and its symbols are gone", () => {
  const states: string[] = [];
  register_module_notifier((state, mod) => states.push(`${mod.name}:${state}`));
  const user = find_module("user_mod") as module;
  expect(kernel.run(() => delete_module("lib_mod"))).toBe(-EAGAIN);
  expect(try_module_get(user)).toBe(true);
  expect(kernel.run(() => delete_module("user_mod"))).toBe(-EAGAIN);
  module_put(user);
  expect(kernel.run(() => delete_module("user-mod"))).toBe(0);
  expect(kernel.run(() => delete_module("lib_mod"))).toBe(0);
  expect(log.slice(-2)).toEqual(["user exit", "lib exit"]);
  expect(states).toEqual(["user_mod:2", "lib_mod:2"]);
  expect(try_module_get(user)).toBe(false);
  expect(sysfs_lookup("/module/user_mod")).toBeNull();
  expect(kernel.run(() => init_module("user-mod", ""))).toBe(-ENOENT);
  expect(kernel.run(() => delete_module("user_mod"))).toBe(-ENOENT);
});

test("a failing init takes everything back; a module without exit stays", () => {
  expect(kernel.run(() => init_module("failing", ""))).toBe(-ENODEV);
  expect(find_module("failing")).toBeNull();
  expect(sysfs_lookup("/module/failing")).toBeNull();
  expect(kernel.run(() => init_module("failing", ""))).toBe(-ENODEV);
  expect(kernel.run(() => init_module("permanent", "typo=1"))).toBe(0);
  expect(kernel.log.at(-1)).toMatch(/permanent: unknown parameter 'typo' ignored/);
  expect(kernel.run(() => delete_module("permanent"))).toBe(-EBUSY);
});

test("EXPORT_SYMBOL_GPL: only modules with a compatible licence see the symbol", () => {
  EXPORT_SYMBOL_GPL("gpl_helper", () => 0);
  expect(kernel.run(() => init_module("proprietary", ""))).toBe(-ENOENT);
  expect(kernel.log.at(-1)).toMatch(/proprietary: Unknown symbol gpl_helper \(err -2\)/);
  expect(kernel.run(() => init_module("copyleft", ""))).toBe(0);
});
