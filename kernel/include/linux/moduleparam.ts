/** `<linux/moduleparam.h>`: parameters, set by `module.name=value` on the command line, at load, or through /sys/module. */
import type { Ptr } from "./types";
import type { module } from "./module";

export type param_type = "byte" | "short" | "ushort" | "int" | "uint" | "long" | "ulong" | "charp" | "bool" | "invbool";
export type param_value = number | string | boolean;

export interface kernel_param_ops {
  /** Returns 0 or a negative errno. `val` is null for a bare name. */
  set(val: string | null, kp: module_param): number;
  get(kp: module_param): string;
}

export interface module_param {
  readonly name: string;
  readonly type: string;
  /** Mode of its file in /sys/module/NAME/parameters; 0: none. */
  readonly perm: number;
  readonly arg: Ptr<param_value>;
  readonly ops: kernel_param_ops;
  description: string;
  readonly mod: module | null;
}

/** A parameter held in `arg.value`. */
export declare function module_param_named<T extends param_value>(
  name: string,
  arg: Ptr<T>,
  type: param_type,
  perm: number,
): void;
/** A parameter with its own parser. */
export declare function module_param_cb<T extends param_value>(
  name: string,
  ops: kernel_param_ops,
  arg: Ptr<T>,
  perm: number,
): void;
/** A parameter of the kernel itself: no prefix. */
export declare function core_param<T extends param_value>(
  name: string,
  arg: Ptr<T>,
  type: param_type,
  perm: number,
): void;
/** Built-in code: a parameter of component `module`, given as `module.name=value`. */
export declare function builtin_param_named<T extends param_value>(
  module: string,
  name: string,
  arg: Ptr<T>,
  type: param_type,
  perm: number,
): void;
export declare function MODULE_PARM_DESC(name: string, description: string): void;
/** `__setup("name=", fn)`: `fn` gets the text after the prefix while the command line is parsed. Returns 1 if it took it. */
export declare function __setup(prefix: string, fn: (value: string) => number): void;
