/**
 * The module loader.
 *
 *   init_module: manifest ─► every undefined symbol resolved, or nothing happens ─► factory(ksym, exports) ─► parameters ─► /sys/module
 *                ─► COMING ─► module_init ─► LIVE
 *   delete_module: no users ─► GOING ─► module_exit ─► symbols, /sys/module and references gone
 *
 * The image is trusted: the host has checked its hashes. A module's own mistakes are not caught.
 */
import { EAGAIN, EBUSY, EEXIST, ENOENT, ENOEXEC } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { panic } from "xenolith/linux/kernel";
import { list_del } from "xenolith/linux/list";
import {
  find_module,
  MODULE_STATE_COMING,
  MODULE_STATE_GOING,
  MODULE_STATE_LIVE,
  type module,
} from "xenolith/linux/module";
import { mutex, mutex_lock, mutex_unlock } from "xenolith/linux/mutex";
import { pr_err, pr_warn } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { hal } from "../../hal/guest/hal";
import { boot_params_of, canonical_name, set_param, split_param, split_words } from "../params";
import { find_symbol, remove_symbols, set_symbol_owner, symbols_of } from "./ksymtab";
import { list_module, loaded_module, set_loading_module } from "./module";
import { module_add_to_sysfs, module_remove_from_sysfs } from "./sysfs";

/** What the loader reads of a bundle's manifest (`hal/host/image/format.ts`). */
interface bundle_manifest {
  readonly license: string;
  readonly undefined: readonly string[];
  readonly depends: readonly string[];
  readonly aliases: readonly string[];
  readonly softdep: readonly string[];
  /** Bytes of the bundle. */
  readonly size: number;
}

/** One module comes or goes at a time; so a module's init must not ask for another module. */
const module_mutex = new mutex(null, "module_mutex");
const notifiers: ((state: number, module: module) => void)[] = [];

export function register_module_notifier(notifier: (state: number, module: module) => void): void {
  notifiers.push(notifier);
}
EXPORT_SYMBOL(register_module_notifier);

function enter_state(mod: module, state: number): void {
  mod.state = state;
  for (const notifier of notifiers) notifier(state, mod);
}

/** The bundle's name as the image spells it, or null. */
function bundle_name(name: string): string | null {
  const wanted = canonical_name(name);
  return hal.list("modules").find((bundle) => canonical_name(bundle) === wanted) ?? null;
}

function manifest_of(bundle: string): bundle_manifest {
  const text = hal.manifest("modules", bundle);
  const parsed = (text === null ? {} : JSON.parse(text)) as Partial<bundle_manifest>;
  return {
    license: parsed.license ?? "",
    undefined: parsed.undefined ?? [],
    depends: parsed.depends ?? [],
    aliases: parsed.aliases ?? [],
    softdep: parsed.softdep ?? [],
    size: parsed.size ?? 0,
  };
}

/** Licences that may use EXPORT_SYMBOL_GPL symbols. */
const GPL_COMPATIBLE = ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/** Finds every symbol and the modules that they come from. Returns 0 or -ENOENT, having said which ones are missing. */
function resolve_symbols(mod: loaded_module, manifest: bundle_manifest): number {
  const is_gpl = GPL_COMPATIBLE.includes(manifest.license);
  let error = 0;
  for (const name of manifest.undefined) {
    const symbol = find_symbol(name);
    const owner = symbol === undefined || (symbol.gpl_only && !is_gpl) ? undefined : (symbol.owner as module | null);
    if (owner === undefined || (owner !== null && owner.state === MODULE_STATE_GOING)) {
      pr_err("%s: Unknown symbol %s (err %d)\n", mod.name, name, -ENOENT);
      error = -ENOENT;
    } else if (owner !== null && !mod.uses.includes(owner)) mod.uses.push(owner);
  }
  return error;
}

function use_modules(mod: loaded_module): void {
  for (const used of mod.uses) {
    used.refcnt++;
    used.used_by.push(mod);
  }
}

function unuse_modules(mod: module): void {
  for (const used of mod.uses) {
    used.refcnt--;
    used.used_by.splice(used.used_by.indexOf(mod), 1);
  }
}

/** Calls the bundle: its top level registers init, exit, parameters and symbols. Returns 0 or -ENOEXEC. */
function run_bundle(mod: loaded_module, bundle: string): number {
  const factory = hal.load("modules", bundle);
  if (factory === null) return -ENOEXEC;
  const ksym = (name: string): unknown => {
    const symbol = find_symbol(name);
    return symbol === undefined
      ? panic("BUG: %s uses %s, which its manifest does not name", mod.name, name)
      : symbol.value;
  };
  set_symbol_owner(mod);
  set_loading_module(mod);
  factory(ksym, {});
  set_loading_module(null);
  set_symbol_owner(null);
  mod.syms.push(...symbols_of(mod));
  return 0;
}

/** Sets what the command line and the caller say. Unknown names are only mentioned, as on Linux. Returns 0 or a negative errno. */
function parse_module_args(mod: loaded_module, args: string): number {
  for (const { name, value } of [...boot_params_of(mod.name), ...split_words(args).map(split_param)]) {
    const param = mod.params.get(canonical_name(name));
    if (param === undefined) pr_warn("%s: unknown parameter '%s' ignored\n", mod.name, name);
    else {
      const error = set_param(mod.name, param, value);
      if (error !== 0) return error;
    }
  }
  return 0;
}

/** Takes everything back that loading did. */
function free_module(mod: module): void {
  module_remove_from_sysfs(mod);
  remove_symbols(mod);
  unuse_modules(mod);
  list_del(mod.list);
}

/** Loads a bundle, with `module_mutex` held. Sleeps, since `module_init` may. */
function* load_module(bundle: string, args: string): Sleeps<number> {
  if (find_module(bundle) !== null) return -EEXIST;
  const mod = new loaded_module(canonical_name(bundle));
  const manifest = manifest_of(bundle);
  mod.size = manifest.size;
  let error = resolve_symbols(mod, manifest);
  if (error !== 0) return error;
  error = run_bundle(mod, bundle);
  if (error !== 0) return error;
  use_modules(mod);
  list_module(mod);
  error = parse_module_args(mod, args);
  if (error === 0) error = module_add_to_sysfs(mod);
  if (error === 0) error = yield* do_init_module(mod);
  if (error !== 0) free_module(mod);
  return error;
}

function* do_init_module(mod: loaded_module): Sleeps<number> {
  enter_state(mod, MODULE_STATE_COMING);
  const started = mod.init === null ? 0 : mod.init();
  const error = typeof started === "object" ? yield* started : started;
  if (error < 0) {
    enter_state(mod, MODULE_STATE_GOING);
    return error;
  }
  enter_state(mod, MODULE_STATE_LIVE);
  return 0;
}

export function* init_module(name: string, params: string): Sleeps<number> {
  const bundle = bundle_name(name);
  if (bundle === null) return -ENOENT;
  yield* mutex_lock(module_mutex);
  const error = yield* load_module(bundle, params);
  mutex_unlock(module_mutex);
  return error;
}
EXPORT_SYMBOL(init_module);

/** Bundles that must be loaded before `bundle`, in order, and itself last. */
function load_order(bundle: string, seen: Set<string>): string[] {
  if (seen.has(bundle)) return [];
  seen.add(bundle);
  const manifest = manifest_of(bundle);
  const pre = manifest.softdep.flatMap((dep) => {
    const match = /pre:\s*([^:]*?)(?:\s*post:|$)/.exec(dep);
    return match === null ? [] : split_words(match[1]);
  });
  const before = [...manifest.depends, ...pre].map(bundle_name).filter((found): found is string => found !== null);
  return [...before.flatMap((found) => load_order(found, seen)), bundle];
}

/** The bundle of that name, or the first one with that alias. */
function find_bundle(name: string): string | null {
  return bundle_name(name) ?? hal.list("modules").find((bundle) => manifest_of(bundle).aliases.includes(name)) ?? null;
}

export function* request_module(name: string, params = ""): Sleeps<number> {
  const bundle = find_bundle(name);
  if (bundle === null) return -ENOENT;
  let error = 0;
  yield* mutex_lock(module_mutex);
  for (const wanted of load_order(bundle, new Set())) {
    if (error !== 0 || find_module(wanted) !== null) continue;
    error = yield* load_module(wanted, wanted === bundle ? params : "");
  }
  mutex_unlock(module_mutex);
  return error;
}
EXPORT_SYMBOL(request_module);

/** Why a module cannot be unloaded now: 0 or a negative errno. */
function unload_obstacle(mod: module | null): number {
  if (mod === null) return -ENOENT;
  if (mod.used_by.length > 0) return -EAGAIN;
  if (mod.state !== MODULE_STATE_LIVE || (mod.init !== null && mod.exit === null)) return -EBUSY;
  return mod.refcnt === 0 ? 0 : -EAGAIN;
}

export function* delete_module(name: string): Sleeps<number> {
  yield* mutex_lock(module_mutex);
  const mod = find_module(name);
  const error = unload_obstacle(mod);
  if (mod !== null && error === 0) {
    mod.state = MODULE_STATE_GOING;
    const stopped = mod.exit === null ? undefined : mod.exit();
    if (typeof stopped === "object") yield* stopped;
    enter_state(mod, MODULE_STATE_GOING);
    free_module(mod);
  }
  mutex_unlock(module_mutex);
  return error;
}
EXPORT_SYMBOL(delete_module);
