/**
 * `<linux/module.h>`: what a loadable module says at its top level, and module references. All macros act on the module that is being loaded;
 * in built-in code `module_init` is `device_initcall`.
 */
import type { list_head } from "./list";
import type { Sleeps } from "./sched";
import type { module_param } from "./moduleparam";

/** A plain function, or a generator if it sleeps. */
export type initcall_t = () => number | Sleeps<number>;
export type exitcall_t = () => void | Sleeps<void>;

export const MODULE_STATE_LIVE = 0;
export const MODULE_STATE_COMING = 1;
export const MODULE_STATE_GOING = 2;
export const MODULE_STATE_UNFORMED = 3;

export interface module {
  /** With underscores. */
  readonly name: string;
  /** MODULE_STATE_*. */
  state: number;
  /** Users; the module cannot be removed while there are any. */
  refcnt: number;
  init: initcall_t | null;
  exit: exitcall_t | null;
  license: string;
  version: string;
  author: string;
  description: string;
  readonly aliases: string[];
  readonly params: Map<string, module_param>;
  /** Modules whose symbols it uses; each counts one reference. */
  readonly uses: module[];
  /** Modules that use its symbols. */
  readonly used_by: module[];
  /** Names of the symbols that it exports. */
  readonly syms: string[];
  /** Size of its bundle in bytes, for lsmod. */
  size: number;
  readonly list: list_head;
}

/** The owner of built-in objects: references to it need no counting. */
export const THIS_MODULE_BUILTIN = null;

/** The module that is being loaded; null in built-in code. Call it at top level and keep the result: `const THIS_MODULE = this_module();`. */
export declare function this_module(): module | null;
/** Called at load. Returns 0, or a negative errno, which undoes the load. */
export declare function module_init(fn: initcall_t): void;
/** Called at removal. A module without it cannot be removed. */
export declare function module_exit(fn: exitcall_t): void;
export declare function MODULE_LICENSE(license: string): void;
export declare function MODULE_AUTHOR(author: string): void;
export declare function MODULE_DESCRIPTION(description: string): void;
export declare function MODULE_VERSION(version: string): void;
export declare function MODULE_ALIAS(alias: string): void;

/** Takes a reference. Returns false while the module is going away; true for null (built in). */
export declare function try_module_get(module: module | null): boolean;
/** Takes a reference to a module that we know is alive. */
export declare function __module_get(module: module | null): void;
export declare function module_put(module: module | null): void;
export declare function module_refcount(module: module): number;
/** The loaded module, or null; `-` and `_` are equal in its name. */
export declare function find_module(name: string): module | null;
/** Loaded modules, the last one first, as lsmod lists them. */
export declare function for_each_module(): Generator<module, void, void>;

/** Loads module `name` of the image with its dependencies, unless it is loaded. `params` is `key=value ...`. Returns 0 or a negative errno. Sleeps. */
export declare function request_module(name: string, params?: string): Sleeps<number>;
/** Loads one module of the image, without dependencies: -EEXIST if it is loaded, -ENOENT for unresolved symbols or an unknown name. Sleeps. */
export declare function init_module(name: string, params: string): Sleeps<number>;
/** Unloads a module: -ENOENT if it is not loaded, -EAGAIN while it has users, -EBUSY if it cannot be unloaded. Sleeps. */
export declare function delete_module(name: string): Sleeps<number>;
/** Told of every module that goes LIVE, COMING or GOING: for leak checks. */
export declare function register_module_notifier(notifier: (state: number, module: module) => void): void;

/** What a module of the image says of itself. */
export interface module_info {
  /** The file's base name. */
  readonly name: string;
  readonly license: string;
  readonly description: string;
  readonly version: string;
  readonly authors: readonly string[];
  readonly aliases: readonly string[];
  readonly softdep: readonly string[];
  /** Modules whose symbols it needs. */
  readonly depends: readonly string[];
  readonly params: readonly { readonly name: string; readonly type: string; readonly description: string }[];
}

/** What a module of the image says of itself, or null if there is none of that name. */
export declare function modinfo(name: string): module_info | null;
