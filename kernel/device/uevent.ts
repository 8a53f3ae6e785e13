/** Uevents: what the kernel tells user space about its devices. The last ones are kept, and a listener may follow them. */
import { ENOENT } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { kobject_get_path, kobj_uevent_env, type kobject, type kset, type uevent } from "xenolith/linux/kobject";
import { vsnprintf } from "xenolith/linux/printk";

/** Uevents that are kept. */
const UEVENTS_MAX = 256;
const ACTIONS = ["add", "remove", "change", "move", "online", "offline", "bind", "unbind"];

const events: uevent[] = [];
let last_seqnum = 0;
let listener: ((event: uevent) => void) | null = null;

export function set_uevent_listener(fn: ((event: uevent) => void) | null): void {
  listener = fn;
}
EXPORT_SYMBOL(set_uevent_listener);

export function recent_uevents(): readonly uevent[] {
  return events;
}
EXPORT_SYMBOL(recent_uevents);

export function add_uevent_var(env: kobj_uevent_env, fmt: string, ...args: unknown[]): number {
  env.envp.push(vsnprintf(fmt, args));
  return 0;
}
EXPORT_SYMBOL(add_uevent_var);

/** The nearest kset above, or null: without one there are no events. */
function kset_of(kobj: kobject): kset | null {
  for (let at: kobject | null = kobj; at !== null; at = at.parent) if (at.kset !== null) return at.kset;
  return null;
}

export function kobject_uevent_env(kobj: kobject, action: number, envp: readonly string[]): number {
  const set = kset_of(kobj);
  if (set === null) return -ENOENT;
  const devpath = kobject_get_path(kobj);
  const env = new kobj_uevent_env();
  env.envp.push(`ACTION=${ACTIONS[action]}`, `DEVPATH=${devpath}`, ...envp);
  if (set.uevent !== null && !set.uevent(kobj, env)) return 0;
  const seqnum = ++last_seqnum;
  env.envp.push(`SEQNUM=${seqnum}`);
  const event = { seqnum, action: ACTIONS[action], devpath, env: env.envp };
  events.push(event);
  if (events.length > UEVENTS_MAX) events.shift();
  if (listener !== null) listener(event);
  return 0;
}
EXPORT_SYMBOL(kobject_uevent_env);

export function kobject_uevent(kobj: kobject, action: number): number {
  return kobject_uevent_env(kobj, action, []);
}
EXPORT_SYMBOL(kobject_uevent);
