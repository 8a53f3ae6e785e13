/** A module that goes wrong in a domain that is at work: `insmod vandal how=NAME`. What ends a domain at once is in `hostile`. */
import { panic } from "xenolith/linux/kernel";
import { module_init } from "xenolith/linux/module";
import { module_param_named } from "xenolith/linux/moduleparam";
import { pr_info } from "xenolith/linux/printk";
import { ptr } from "xenolith/linux/types";
import { HYPERVISOR_event_channel_op, HYPERVISOR_grant_table_op, HYPERVISOR_hostdisk_op } from "xenolith/xen/hypercall";

const how = ptr("");
module_param_named("how", how, "charp", 0o444);

function bad(): never {
  throw new Error("vandalised");
}

/** Overwrites every property of every global and of its prototype. */
function overwrite_globals(): number {
  const targets: (readonly [object, string | symbol])[] = [];
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    const value = (globalThis as Record<string, unknown>)[name];
    if (value === globalThis || (typeof value !== "object" && typeof value !== "function") || value === null) continue;
    for (const holder of [value, (value as { prototype?: unknown }).prototype]) {
      if (typeof holder !== "object" && typeof holder !== "function") continue;
      if (holder !== null) for (const key of Reflect.ownKeys(holder)) targets.push([holder, key]);
    }
  }
  for (let i = 0; i < targets.length; i++) {
    try {
      (targets[i][0] as Record<string | symbol, unknown>)[targets[i][1]] = bad;
    } catch {
      // What cannot be written stays.
    }
  }
  return 0;
}

/** Every call with numbers that are addresses somewhere. */
function call_everything(): void {
  for (let op = -1; op < 64; op++) {
    for (const at of [0, 4096, 8192, 1 << 22, 1 << 30, -4096]) {
      HYPERVISOR_grant_table_op(op, at, 8);
      HYPERVISOR_event_channel_op(op, at);
      HYPERVISOR_hostdisk_op(op, at, 8);
    }
  }
}

/** Dies, catches its own death, and goes on as if nothing had been. */
function call_after_death(): number {
  for (;;) {
    try {
      panic("vandal: dead");
    } catch {
      for (let i = 0; i < 1000; i++) call_everything();
    }
  }
}

/** Calls the hypervisor at each depth of a stack that is about to end, and catches the end. */
function call_at_the_end_of_the_stack(): number {
  try {
    HYPERVISOR_event_channel_op(-1, 0);
    return 1 + call_at_the_end_of_the_stack();
  } catch {
    HYPERVISOR_event_channel_op(-1, 0);
    return 0;
  }
}

function vandal_init(): number {
  switch (how.value) {
    case "globals":
      return overwrite_globals();
    case "after-death":
      return call_after_death();
    case "deep-calls":
      call_at_the_end_of_the_stack();
      pr_info("vandal: came back\n");
      return 0;
    case "join":
      return Array.prototype.join.call({ length: 2 ** 53 - 1 }, "").length;
    case "sort":
      return (Array.prototype.sort.call({ length: 2 ** 53 - 1 }) as unknown[]).length;
    default:
      return -22;
  }
}
module_init(vandal_init);
