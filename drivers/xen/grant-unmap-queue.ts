/**
 * Unmapping pages that somebody may still use: a network or block layer that holds a reference keeps the mapping alive a little longer.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { complete, completion, wait_for_completion } from "xenolith/linux/completion";
import { msecs_to_jiffies } from "xenolith/linux/jiffies";
import { page_count } from "xenolith/linux/mm";
import type { Sleeps } from "xenolith/linux/sched";
import { INIT_DELAYED_WORK, schedule_delayed_work, to_delayed_work, type work_struct } from "xenolith/linux/workqueue";
import type { gntab_unmap_queue_data, gnttab_unmap_batch } from "xenolith/xen/grant_table";
import { gnttab_unmap_refs } from "./grant-map";

/** Milliseconds until the first look back; the n-th waits n times as long. */
const GNTTAB_UNMAP_REFS_DELAY = 5;

function in_use(item: gntab_unmap_queue_data): boolean {
  for (let i = 0; i < item.count; i++) {
    if (page_count(item.pages[i]) > 1) return true;
  }
  return false;
}

function __gnttab_unmap_refs_async(item: gntab_unmap_queue_data): void {
  item.age++;
  if (in_use(item)) {
    schedule_delayed_work(item.gnttab_work, msecs_to_jiffies(GNTTAB_UNMAP_REFS_DELAY * item.age));
    return;
  }
  const result = gnttab_unmap_refs(item.unmap_ops as gnttab_unmap_batch, null, item.pages, item.count);
  item.done?.(result, item);
}

function gnttab_unmap_work(work: work_struct): void {
  __gnttab_unmap_refs_async(to_delayed_work(work).container as gntab_unmap_queue_data);
}

export function gnttab_unmap_refs_async(item: gntab_unmap_queue_data): void {
  INIT_DELAYED_WORK(item.gnttab_work, gnttab_unmap_work);
  item.age = 0;
  __gnttab_unmap_refs_async(item);
}
EXPORT_SYMBOL(gnttab_unmap_refs_async);

/** What gnttab_unmap_refs_sync waits for. */
class unmap_refs_callback_data {
  readonly completion = new completion();
  result = 0;
}

function unmap_refs_callback(result: number, item: gntab_unmap_queue_data): void {
  const waiter = item.data as unmap_refs_callback_data;
  waiter.result = result;
  complete(waiter.completion);
}

export function* gnttab_unmap_refs_sync(item: gntab_unmap_queue_data): Sleeps<number> {
  const waiter = new unmap_refs_callback_data();
  item.data = waiter;
  item.done = unmap_refs_callback;
  gnttab_unmap_refs_async(item);
  yield* wait_for_completion(waiter.completion);
  return waiter.result;
}
EXPORT_SYMBOL(gnttab_unmap_refs_sync);
