/** `<linux/kobject.h>`: the objects that make up /sys, and uevents. */
import { kref } from "./kref";
import { list_head } from "./list";
import type { attribute, attribute_group, sysfs_dirent, sysfs_ops } from "./sysfs";

export interface kobj_type {
  /** The last reference is gone. */
  release?(kobj: kobject): void;
  /** How its attributes are read and written; left out: as `kobj_attribute`s. */
  readonly sysfs_ops?: sysfs_ops;
  readonly default_groups?: readonly attribute_group[];
}

export class kobject {
  name = "";
  readonly container: unknown;
  readonly kref = new kref();
  readonly entry = new list_head(this);
  parent: kobject | null = null;
  kset: kset | null = null;
  ktype: kobj_type | null = null;
  /** Its directory in /sys while it is added. */
  sd: sysfs_dirent | null = null;

  constructor(container: unknown = null) {
    this.container = container;
  }
}

/** A kobject that has children of one kind and may add to their uevents. */
export class kset {
  readonly kobj: kobject;
  readonly list = new list_head(this);
  /** Adds `KEY=value` strings; false suppresses the event. */
  uevent: ((kobj: kobject, env: kobj_uevent_env) => boolean) | null = null;

  constructor() {
    this.kobj = new kobject(this);
  }
}

/** An attribute of a bare kobject. */
export interface kobj_attribute extends attribute {
  show?(kobj: kobject, attr: kobj_attribute, buf: { value: string }): number;
  store?(kobj: kobject, attr: kobj_attribute, buf: string, count: number): number;
}

/** The variables of one uevent. */
export class kobj_uevent_env {
  readonly envp: string[] = [];
}

export const KOBJ_ADD = 0;
export const KOBJ_REMOVE = 1;
export const KOBJ_CHANGE = 2;
export const KOBJ_MOVE = 3;
export const KOBJ_ONLINE = 4;
export const KOBJ_OFFLINE = 5;
export const KOBJ_BIND = 6;
export const KOBJ_UNBIND = 7;

/** A uevent that was sent. */
export interface uevent {
  readonly seqnum: number;
  readonly action: string;
  readonly devpath: string;
  /** `KEY=value` strings, ACTION, DEVPATH and SUBSYSTEM first, SEQNUM last. */
  readonly env: readonly string[];
}

export declare function kobject_init(kobj: kobject, ktype: kobj_type): void;
/** Makes it visible under `parent` (or its kset). Returns 0, -EEXIST, -EINVAL for an empty name. */
export declare function kobject_add(kobj: kobject, parent: kobject | null, fmt: string, ...args: unknown[]): number;
export declare function kobject_init_and_add(
  kobj: kobject,
  ktype: kobj_type,
  parent: kobject | null,
  fmt: string,
  ...args: unknown[]
): number;
/** A bare directory. Returns it, or null if the name is taken. */
export declare function kobject_create_and_add(name: string, parent: kobject | null): kobject | null;
/** Takes it out of /sys. */
export declare function kobject_del(kobj: kobject): void;
export declare function kobject_get(kobj: kobject): kobject;
export declare function kobject_put(kobj: kobject): void;
export declare function kobject_name(kobj: kobject): string;
export declare function kobject_set_name(kobj: kobject, fmt: string, ...args: unknown[]): number;
/** Path below /sys, with a leading slash. */
export declare function kobject_get_path(kobj: kobject): string;
export declare function kset_create_and_add(name: string, parent: kobject | null): kset | null;
export declare function kset_unregister(kset: kset): void;
/** Tells user space. */
export declare function kobject_uevent(kobj: kobject, action: number): number;
export declare function kobject_uevent_env(kobj: kobject, action: number, envp: readonly string[]): number;
/** printf into a uevent: `add_uevent_var(env, "MODALIAS=xen:%s", ...)`. */
export declare function add_uevent_var(env: kobj_uevent_env, fmt: string, ...args: unknown[]): number;
/** Called with every uevent; for udev-like programs and tests. */
export declare function set_uevent_listener(listener: ((event: uevent) => void) | null): void;
/** The last uevents, oldest first. */
export declare function recent_uevents(): readonly uevent[];
