/**
 * Parameters: what the command line, `insmod` and /sys/module set.
 *
 *   "quiet xen_blkfront.max=64 foo="a b" -- init args"
 *     core_param / __setup ─► the kernel      name.param ─► built-in component, or kept for module `name`      unknown ─► the init task's environment
 *
 * `-` and `_` are equal in names. The command line is trusted; a value that does not parse is reported and ignored, as on Linux.
 */
import { EINVAL, ENOENT } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import type { module } from "xenolith/linux/module";
import type { kernel_param_ops, module_param, param_type, param_value } from "xenolith/linux/moduleparam";
import { pr_err } from "xenolith/linux/printk";
import { kstrtobool, kstrtoll } from "xenolith/linux/string";
import { ptr, type Ptr } from "xenolith/linux/types";

/** Bounds of the integer types. */
const RANGES: Readonly<Record<string, readonly [number, number]>> = {
  byte: [0, 0xff],
  short: [-0x8000, 0x7fff],
  ushort: [0, 0xffff],
  int: [-0x80000000, 0x7fffffff],
  uint: [0, 0xffffffff],
  long: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  ulong: [0, Number.MAX_SAFE_INTEGER],
};

/** Parameters of the kernel and of built-in components, by full name. */
const kernel_params = new Map<string, module_param>();
const setups: { prefix: string; fn: (value: string) => number }[] = [];
/** `module.name=value` that nobody took yet, in order: for modules that are loaded later. */
const deferred: { module: string; name: string; value: string | null }[] = [];
/** Words that nobody knew, and what follows `--`. */
const init_arguments: string[] = [];

function set_integer(val: string | null, kp: module_param): number {
  const [min, max] = RANGES[kp.type];
  const parsed = ptr(0);
  if (val === null) return -EINVAL;
  const error = kstrtoll(val, 0, parsed);
  if (error !== 0) return error;
  if (parsed.value < min || parsed.value > max) return -EINVAL;
  kp.arg.value = parsed.value;
  return 0;
}

function set_bool(val: string | null, kp: module_param): number {
  const parsed = ptr(true);
  const error = val === null ? 0 : kstrtobool(val, parsed);
  if (error === 0) kp.arg.value = kp.type === "invbool" ? !parsed.value : parsed.value;
  return error;
}

function set_charp(val: string | null, kp: module_param): number {
  if (val === null) return -EINVAL;
  kp.arg.value = val;
  return 0;
}

const integer_ops: kernel_param_ops = { set: set_integer, get: (kp) => String(kp.arg.value) };
const bool_ops: kernel_param_ops = {
  set: set_bool,
  get: (kp) => ((kp.type === "invbool" ? !kp.arg.value : kp.arg.value) ? "Y" : "N"),
};
const charp_ops: kernel_param_ops = { set: set_charp, get: (kp) => String(kp.arg.value) };

/** How values of a type are parsed and printed. */
export function ops_of(type: param_type): kernel_param_ops {
  if (type === "charp") return charp_ops;
  return type === "bool" || type === "invbool" ? bool_ops : integer_ops;
}

/** Makes a parameter's record. */
export function make_param(
  name: string,
  type: string,
  perm: number,
  arg: Ptr<param_value>,
  ops: kernel_param_ops,
  mod: module | null,
): module_param {
  return { name, type, perm, arg, ops, description: "", mod };
}

/** A name with underscores only. */
export function canonical_name(name: string): string {
  return name.replace(/-/g, "_");
}

function add_kernel_param(
  name: string,
  type: string,
  perm: number,
  arg: Ptr<param_value>,
  ops: kernel_param_ops,
): void {
  kernel_params.set(canonical_name(name), make_param(name, type, perm, arg, ops, null));
}

export function core_param<T extends param_value>(name: string, arg: Ptr<T>, type: param_type, perm: number): void {
  add_kernel_param(name, type, perm, arg, ops_of(type));
}
EXPORT_SYMBOL(core_param);

export function builtin_param_named<T extends param_value>(
  module: string,
  name: string,
  arg: Ptr<T>,
  type: param_type,
  perm: number,
): void {
  add_kernel_param(`${module}.${name}`, type, perm, arg, ops_of(type));
}
EXPORT_SYMBOL(builtin_param_named);

export function __setup(prefix: string, fn: (value: string) => number): void {
  setups.push({ prefix, fn });
}
EXPORT_SYMBOL(__setup);

/** Cuts a command line into words at white space outside of double quotes, and takes the quotes off. */
export function split_words(line: string): string[] {
  const words: string[] = [];
  for (const match of line.matchAll(/(?:"[^"]*"?|[^\s"])+/g)) words.push(match[0].replace(/"/g, ""));
  return words;
}

/** `name=value` in two; the value is null for a bare name. */
export function split_param(word: string): { name: string; value: string | null } {
  const at = word.indexOf("=");
  return at < 0 ? { name: word, value: null } : { name: word.slice(0, at), value: word.slice(at + 1) };
}

/** Sets one parameter, and says in the log why it could not. Returns 0 or a negative errno. */
export function set_param(doing: string, kp: module_param, value: string | null): number {
  const error = kp.ops.set(value, kp);
  if (error === -ENOENT) pr_err("%s: Unknown parameter `%s'\n", doing, kp.name);
  else if (error !== 0) pr_err("%s: `%s' invalid for parameter `%s'\n", doing, value ?? "", kp.name);
  return error;
}

function parse_word(word: string): void {
  for (const { prefix, fn } of setups) {
    if ((word === prefix || (prefix.endsWith("=") && word.startsWith(prefix))) && fn(word.slice(prefix.length)) !== 0) {
      return;
    }
  }
  const { name, value } = split_param(word);
  const known = kernel_params.get(canonical_name(name));
  const dot = name.indexOf(".");
  if (known !== undefined) set_param("Booting kernel", known, value);
  else if (dot > 0) deferred.push({ module: canonical_name(name.slice(0, dot)), name: name.slice(dot + 1), value });
  else init_arguments.push(word);
}

/** Parses the kernel command line. Called once by boot. */
export function parse_args(command_line: string): void {
  const words = split_words(command_line);
  const end = words.indexOf("--");
  for (const word of end < 0 ? words : words.slice(0, end)) parse_word(word);
  if (end >= 0) init_arguments.push(...words.slice(end + 1));
}

/** What the command line says for module `name`, in order. */
export function boot_params_of(name: string): { name: string; value: string | null }[] {
  return deferred.filter((entry) => entry.module === name);
}

/** Words that the kernel did not know, and those after `--`. */
export function init_args(): readonly string[] {
  return init_arguments;
}

/** Parameters of the kernel and of built-in components, by full name: for /sys/module. */
export function builtin_params(): ReadonlyMap<string, module_param> {
  return kernel_params;
}
