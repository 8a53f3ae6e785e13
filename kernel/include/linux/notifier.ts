/** `<linux/notifier.h>`: chains of functions that are told of an event, higher priority first. */

export const NOTIFY_DONE = 0;
export const NOTIFY_OK = 1;
export const NOTIFY_STOP_MASK = 0x8000;
export const NOTIFY_BAD = NOTIFY_STOP_MASK | 2;
export const NOTIFY_STOP = NOTIFY_OK | NOTIFY_STOP_MASK;

export interface notifier_block {
  /** Returns NOTIFY_*. */
  notifier_call: (nb: notifier_block, action: number, data: unknown) => number;
  priority?: number;
}

/** A chain; the same struct for Linux's raw, atomic and blocking chains. */
export class notifier_head {
  readonly blocks: notifier_block[] = [];
}

/** Adds a block behind those of the same priority. Returns 0, or -EEXIST (-17). */
export function notifier_chain_register(head: notifier_head, nb: notifier_block): number {
  if (head.blocks.includes(nb)) return -17;
  const priority = nb.priority ?? 0;
  const index = head.blocks.findIndex((other) => (other.priority ?? 0) < priority);
  head.blocks.splice(index < 0 ? head.blocks.length : index, 0, nb);
  return 0;
}

/** Returns 0, or -ENOENT (-2). */
export function notifier_chain_unregister(head: notifier_head, nb: notifier_block): number {
  const index = head.blocks.indexOf(nb);
  if (index < 0) return -2;
  head.blocks.splice(index, 1);
  return 0;
}

/** Calls the blocks in order until one says stop. Returns the last answer. */
export function notifier_call_chain(head: notifier_head, action: number, data: unknown): number {
  let answer = NOTIFY_DONE;
  for (const nb of head.blocks.slice()) {
    answer = nb.notifier_call(nb, action, data);
    if ((answer & NOTIFY_STOP_MASK) !== 0) break;
  }
  return answer;
}

export const blocking_notifier_chain_register = notifier_chain_register;
export const blocking_notifier_chain_unregister = notifier_chain_unregister;
export const blocking_notifier_call_chain = notifier_call_chain;
export const raw_notifier_chain_register = notifier_chain_register;
export const raw_notifier_call_chain = notifier_call_chain;
