/**
 * `<linux/wait.h>`: wait queues.
 *
 * A condition is a function that is called again after every wake-up, in the waiting task. Wake-ups are plain and may be used in interrupts.
 */
import { list_head } from "./list";
import type { Sleeps, task_struct } from "./sched";

/** One task that waits in one queue. */
export class wait_queue_entry {
  /** Links it into the queue; unlinked while it points at itself. */
  readonly entry = new list_head(this);
  /** Whom to wake. */
  task: task_struct | null = null;
  /** Called instead of waking `task`; returns true if it counts as woken (for exclusive waits). */
  func: ((entry: wait_queue_entry) => boolean) | null = null;
  /** Unlinked when it is woken (`autoremove_wake_function`). */
  autoremove = false;
  /** A `wake_up` wakes only the first exclusive waiter. */
  exclusive = false;
  /** For `func`. */
  private_data: unknown = null;
}

export class wait_queue_head {
  readonly head = new list_head(this);
  readonly container: unknown;

  constructor(container: unknown = null) {
    this.container = container;
  }
}

export type wait_queue_head_t = wait_queue_head;
export type wait_queue_entry_t = wait_queue_entry;

export function init_waitqueue_head(wq: wait_queue_head): void {
  wq.head.next = wq.head;
  wq.head.prev = wq.head;
}

/** Whether somebody waits in the queue. */
export function waitqueue_active(wq: wait_queue_head): boolean {
  return wq.head.next !== wq.head;
}

/** Wakes all that wait, but only the first of the exclusive ones. */
export declare function wake_up(wq: wait_queue_head): void;
/** `wake_up` for interruptible sleepers only. */
export declare function wake_up_interruptible(wq: wait_queue_head): void;
/** Wakes up to `nr` exclusive waiters. */
export declare function wake_up_nr(wq: wait_queue_head, nr: number): void;
export declare function wake_up_all(wq: wait_queue_head): void;
export declare function wake_up_interruptible_all(wq: wait_queue_head): void;

export declare function add_wait_queue(wq: wait_queue_head, entry: wait_queue_entry): void;
export declare function add_wait_queue_exclusive(wq: wait_queue_head, entry: wait_queue_entry): void;
export declare function remove_wait_queue(wq: wait_queue_head, entry: wait_queue_entry): void;
/** An entry for the running task (`DEFINE_WAIT`). */
export declare function init_wait(entry: wait_queue_entry): void;
/** Queues the entry and sets the running task's state: check the condition after it, then `yield* schedule()`. */
export declare function prepare_to_wait(wq: wait_queue_head, entry: wait_queue_entry, state: number): void;
export declare function prepare_to_wait_exclusive(wq: wait_queue_head, entry: wait_queue_entry, state: number): void;
/** Ends the wait: state TASK_RUNNING, entry unlinked. */
export declare function finish_wait(wq: wait_queue_head, entry: wait_queue_entry): void;

/** Sleeps until the condition holds. */
export declare function wait_event(wq: wait_queue_head, condition: () => boolean): Sleeps<void>;
/** Sleeps until the condition holds or `timeout` jiffies passed. Returns the jiffies left, at least 1, or 0 if the condition never held. */
export declare function wait_event_timeout(
  wq: wait_queue_head,
  condition: () => boolean,
  timeout: number,
): Sleeps<number>;
/** Sleeps until the condition holds. Returns 0, or -ERESTARTSYS if a signal came first. */
export declare function wait_event_interruptible(wq: wait_queue_head, condition: () => boolean): Sleeps<number>;
/** As `wait_event_timeout`; -ERESTARTSYS if a signal came first. */
export declare function wait_event_interruptible_timeout(
  wq: wait_queue_head,
  condition: () => boolean,
  timeout: number,
): Sleeps<number>;
/** Sleeps until the condition holds; only a fatal signal ends it early, with -ERESTARTSYS. */
export declare function wait_event_killable(wq: wait_queue_head, condition: () => boolean): Sleeps<number>;
/** `wait_event_interruptible` that freezes when the system suspends. */
export declare function wait_event_freezable(wq: wait_queue_head, condition: () => boolean): Sleeps<number>;
/** `wait_event` as an exclusive waiter. */
export declare function wait_event_exclusive(wq: wait_queue_head, condition: () => boolean): Sleeps<void>;
/** `wait_event` in TASK_IDLE: a thread that waits for work is not hung. */
export declare function wait_event_idle(wq: wait_queue_head, condition: () => boolean): Sleeps<void>;
