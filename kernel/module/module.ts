/**
 * What a module says about itself while it is loaded (the macros of `xenolith/linux/module`), and references to modules.
 *
 * The macros act on the module whose bundle is being called. In the kernel's own bundle there is none: `module_init` is then an initcall, and
 * parameters belong to the kernel.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { device_initcall } from "xenolith/linux/init";
import { list_add, list_for_each_entry, list_head } from "xenolith/linux/list";
import {
  MODULE_STATE_GOING,
  MODULE_STATE_UNFORMED,
  type exitcall_t,
  type initcall_t,
  type module,
} from "xenolith/linux/module";
import type { kernel_param_ops, module_param, param_type, param_value } from "xenolith/linux/moduleparam";
import type { Ptr } from "xenolith/linux/types";
import { WARN_ON } from "xenolith/linux/kernel";
import { canonical_name, core_param, make_param, ops_of } from "../params";

/** A module from the first look at its manifest until it is gone. */
export class loaded_module implements module {
  state = MODULE_STATE_UNFORMED;
  refcnt = 0;
  init: initcall_t | null = null;
  exit: exitcall_t | null = null;
  license = "";
  version = "";
  author = "";
  description = "";
  readonly aliases: string[] = [];
  readonly params = new Map<string, module_param>();
  readonly uses: module[] = [];
  readonly used_by: module[] = [];
  readonly syms: string[] = [];
  size = 0;
  readonly list = new list_head(this);

  constructor(readonly name: string) {}
}

/** Loaded modules, the last one first. */
const modules = new list_head();
let loading: loaded_module | null = null;

/** Says for which module the macros speak from here on; null: for the kernel. */
export function set_loading_module(mod: loaded_module | null): void {
  loading = mod;
}

/** Puts a module into the list. */
export function list_module(mod: module): void {
  list_add(mod.list, modules);
}

export function this_module(): module | null {
  return loading;
}
EXPORT_SYMBOL(this_module);

export function module_init(fn: initcall_t): void {
  if (loading === null) device_initcall(fn);
  else loading.init = fn;
}
EXPORT_SYMBOL(module_init);

export function module_exit(fn: exitcall_t): void {
  if (loading !== null) loading.exit = fn;
}
EXPORT_SYMBOL(module_exit);

export function MODULE_LICENSE(license: string): void {
  if (loading !== null) loading.license = license;
}
EXPORT_SYMBOL(MODULE_LICENSE);

export function MODULE_AUTHOR(author: string): void {
  if (loading !== null) loading.author = author;
}
EXPORT_SYMBOL(MODULE_AUTHOR);

export function MODULE_DESCRIPTION(description: string): void {
  if (loading !== null) loading.description = description;
}
EXPORT_SYMBOL(MODULE_DESCRIPTION);

export function MODULE_VERSION(version: string): void {
  if (loading !== null) loading.version = version;
}
EXPORT_SYMBOL(MODULE_VERSION);

export function MODULE_ALIAS(alias: string): void {
  if (loading !== null) loading.aliases.push(alias);
}
EXPORT_SYMBOL(MODULE_ALIAS);

export function module_param_cb<T extends param_value>(
  name: string,
  ops: kernel_param_ops,
  arg: Ptr<T>,
  perm: number,
): void {
  if (loading === null) return;
  const param = make_param(name, "custom", perm, arg, ops, loading);
  loading.params.set(canonical_name(name), param);
}
EXPORT_SYMBOL(module_param_cb);

export function module_param_named<T extends param_value>(
  name: string,
  arg: Ptr<T>,
  type: param_type,
  perm: number,
): void {
  if (loading === null) {
    core_param(name, arg, type, perm);
    return;
  }
  const param = make_param(name, type, perm, arg, ops_of(type), loading);
  loading.params.set(canonical_name(name), param);
}
EXPORT_SYMBOL(module_param_named);

export function MODULE_PARM_DESC(name: string, description: string): void {
  const param = loading?.params.get(canonical_name(name));
  if (param !== undefined) param.description = description;
}
EXPORT_SYMBOL(MODULE_PARM_DESC);

export function find_module(name: string): module | null {
  const wanted = canonical_name(name);
  for (const mod of list_for_each_entry<module>(modules)) if (mod.name === wanted) return mod;
  return null;
}
EXPORT_SYMBOL(find_module);

export function for_each_module(): Generator<module, void, void> {
  return list_for_each_entry<module>(modules);
}
EXPORT_SYMBOL(for_each_module);

export function try_module_get(module: module | null): boolean {
  if (module === null) return true;
  if (module.state === MODULE_STATE_GOING || module.state === MODULE_STATE_UNFORMED) return false;
  module.refcnt++;
  return true;
}
EXPORT_SYMBOL(try_module_get);

export function __module_get(module: module | null): void {
  if (module !== null) module.refcnt++;
}
EXPORT_SYMBOL(__module_get);

export function module_put(module: module | null): void {
  if (module === null || WARN_ON(module.refcnt <= 0)) return;
  module.refcnt--;
}
EXPORT_SYMBOL(module_put);

export function module_refcount(module: module): number {
  return module.refcnt;
}
EXPORT_SYMBOL(module_refcount);
