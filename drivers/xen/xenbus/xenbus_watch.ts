/**
 * Watches (Linux `drivers/xen/xenbus/xenbus_xs.c`): events from xenstored, delivered in order on the xenwatch thread.
 *
 *   XS_WATCH_EVENT -> the watch of the token -> will_handle? -> queue -> xenwatch: callback, under xenwatch_mutex
 *
 * A peer that rewrites a node a million times makes a million events: will_handle bounds the queue where that matters.
 */
import { XS_WATCH_EVENT } from "../../../hal/abi/xs_wire";
import { IS_ERR } from "xenolith/linux/err";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { BUG_ON } from "xenolith/linux/kernel";
import { kthread_run } from "xenolith/linux/kthread";
import {
  INIT_LIST_HEAD,
  list_add_tail,
  list_del,
  list_empty,
  list_for_each_entry,
  list_head,
} from "xenolith/linux/list";
import { mutex, mutex_lock, mutex_unlock } from "xenolith/linux/mutex";
import { pr_warn } from "xenolith/linux/printk";
import { down_read, down_write, rw_semaphore, up_read, up_write } from "xenolith/linux/rwsem";
import { current, type Sleeps, type task_struct } from "xenolith/linux/sched";
import { bytes_to_string } from "xenolith/linux/string";
import { wait_event_idle, wait_queue_head, wake_up } from "xenolith/linux/wait";
import type { xenbus_watch } from "xenolith/xen/xenbus";
import { xb_init_comms, type xs_message } from "./xenbus_comms";
import { xs_reply, xs_requests_init, xs_suspend_enter, xs_suspend_exit, xs_unwatch, xs_watch } from "./xenbus_xs";

/** An event that waits for the xenwatch thread. */
class xs_watch_event {
  readonly list = new list_head(this);
  constructor(readonly handle: xenbus_watch, readonly path: string, readonly token: string) {}
}

/** Registered watches, in order, and by token. */
const watches = new list_head();
const watch_of_token = new Map<string, xenbus_watch>();
const tokens = new Map<xenbus_watch, string>();
let next_token = 1;

const watch_events = new list_head();
const watch_events_waitq = new wait_queue_head();
let xenwatch_task: task_struct | null = null;
/** Held while a callback runs. */
const xenwatch_mutex = new mutex("xenwatch_mutex");
/** Held for reading while watches come and go, for writing from suspend to resume. */
const xs_watch_rwsem = new rw_semaphore("xs_watch_rwsem");

/** A watch event came in: queues it. Runs in the interrupt. */
function xs_watch_msg(body: Uint8Array): void {
  const [path, token] = bytes_to_string(body).split("\0");
  const watch = watch_of_token.get(token);
  if (watch === undefined) return;
  if (watch.will_handle !== null && !watch.will_handle(watch, path, token)) return;
  list_add_tail(new xs_watch_event(watch, path, token).list, watch_events);
  watch.nr_pending++;
  wake_up(watch_events_waitq);
}

export function* register_xenbus_watch(watch: xenbus_watch): Sleeps<number> {
  const token = next_token.toString(16).toUpperCase();
  next_token++;
  watch.nr_pending = 0;
  yield* down_read(xs_watch_rwsem);
  BUG_ON(tokens.has(watch));
  list_add_tail(watch.list, watches);
  watch_of_token.set(token, watch);
  tokens.set(watch, token);
  const err = yield* xs_watch(watch.node as string, token);
  if (err !== 0) forget_watch(watch);
  up_read(xs_watch_rwsem);
  return err;
}
EXPORT_SYMBOL(register_xenbus_watch);

function forget_watch(watch: xenbus_watch): void {
  list_del(watch.list);
  watch_of_token.delete(tokens.get(watch) as string);
  tokens.delete(watch);
}

function drop_events(watch: xenbus_watch): void {
  for (const event of list_for_each_entry<xs_watch_event>(watch_events)) {
    if (event.handle === watch) list_del(event.list);
  }
  watch.nr_pending = 0;
}

export function* unregister_xenbus_watch(watch: xenbus_watch): Sleeps<void> {
  const token = tokens.get(watch);
  BUG_ON(token === undefined);
  yield* down_read(xs_watch_rwsem);
  forget_watch(watch);
  const err = yield* xs_unwatch(watch.node as string, token as string);
  if (err !== 0) pr_warn("Failed to release watch %s: %i\n", watch.node, err);
  up_read(xs_watch_rwsem);
  drop_events(watch);
  // Whoever is not in the callback itself waits until the callback is over.
  if (current() !== xenwatch_task) {
    yield* mutex_lock(xenwatch_mutex);
    mutex_unlock(xenwatch_mutex);
  }
}
EXPORT_SYMBOL(unregister_xenbus_watch);

function* xenwatch_thread(): Sleeps<number> {
  for (;;) {
    yield* wait_event_idle(watch_events_waitq, () => !list_empty(watch_events));
    yield* mutex_lock(xenwatch_mutex);
    if (!list_empty(watch_events)) {
      const event = watch_events.next.container as xs_watch_event;
      list_del(event.list);
      event.handle.nr_pending--;
      const running = event.handle.callback?.(event.handle, event.path, event.token);
      if (typeof running === "object") yield* running;
    }
    mutex_unlock(xenwatch_mutex);
  }
}

/** A message came in. Runs in the interrupt. */
function xs_receive(message: xs_message): void {
  if (message.type === XS_WATCH_EVENT) xs_watch_msg(message.body);
  else xs_reply(message);
}

/** Opens the connection to xenstored and starts the xenwatch thread. Called once. 0 or a negative errno. */
export function xs_init(): number {
  INIT_LIST_HEAD(watches);
  INIT_LIST_HEAD(watch_events);
  watch_of_token.clear();
  tokens.clear();
  xs_requests_init();
  const err = xb_init_comms(xs_receive);
  if (err !== 0) return err;
  const task = kthread_run(xenwatch_thread, null, "xenwatch");
  if (IS_ERR(task)) return task;
  xenwatch_task = task;
  return 0;
}

// ---- suspend ----------------------------------------------------------------------------------------------------------------------------

export function* xs_suspend(): Sleeps<void> {
  yield* down_write(xs_watch_rwsem);
  yield* xs_suspend_enter();
}
EXPORT_SYMBOL(xs_suspend);

export function* xs_resume(): Sleeps<void> {
  xb_init_comms(xs_receive);
  xs_suspend_exit();
  for (const watch of list_for_each_entry<xenbus_watch>(watches)) {
    yield* xs_watch(watch.node as string, tokens.get(watch) as string);
  }
  up_write(xs_watch_rwsem);
}
EXPORT_SYMBOL(xs_resume);

export function* xs_suspend_cancel(): Sleeps<void> {
  xs_suspend_exit();
  up_write(xs_watch_rwsem);
}
EXPORT_SYMBOL(xs_suspend_cancel);
