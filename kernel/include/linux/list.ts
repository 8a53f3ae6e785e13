/**
 * `<linux/list.h>`: the circular doubly linked list. A head and its entries are the same type; an entry knows the struct that embeds it.
 *
 *   hot code:   for (let p = head.next; p !== head; p = p.next) { const rq = p.container as request; ... }
 *   cold code:  for (const rq of list_for_each_entry<request>(head)) ...
 */
import type { embedded } from "./kernel";

export class list_head implements embedded {
  next: list_head;
  prev: list_head;
  /** The struct that embeds this entry; null for a bare head. */
  readonly container: unknown;

  constructor(container: unknown = null) {
    this.container = container;
    this.next = this;
    this.prev = this;
  }
}

/** Makes the list empty, or the entry unlinked. */
export function INIT_LIST_HEAD(list: list_head): void {
  list.next = list;
  list.prev = list;
}

/** Links `entry` right after `head`: a stack. */
export function list_add(entry: list_head, head: list_head): void {
  const next = head.next;
  next.prev = entry;
  entry.next = next;
  entry.prev = head;
  head.next = entry;
}

/** Links `entry` right before `head`: a queue. */
export function list_add_tail(entry: list_head, head: list_head): void {
  const prev = head.prev;
  head.prev = entry;
  entry.next = head;
  entry.prev = prev;
  prev.next = entry;
}

/** Unlinks an entry. It is left pointing at itself, so that a second `list_del` is harmless. */
export function list_del(entry: list_head): void {
  entry.prev.next = entry.next;
  entry.next.prev = entry.prev;
  entry.next = entry;
  entry.prev = entry;
}

/** `list_del`; the entry is an empty list afterwards. */
export const list_del_init = list_del;

/** Whether the list has no entries, or the entry is unlinked. */
export function list_empty(head: list_head): boolean {
  return head.next === head;
}

/** Whether the list has exactly one entry. */
export function list_is_singular(head: list_head): boolean {
  return head.next !== head && head.next === head.prev;
}

export function list_is_last(entry: list_head, head: list_head): boolean {
  return entry.next === head;
}

/** Moves an entry to the front of another list. */
export function list_move(entry: list_head, head: list_head): void {
  list_del(entry);
  list_add(entry, head);
}

/** Moves an entry to the end of another list. */
export function list_move_tail(entry: list_head, head: list_head): void {
  list_del(entry);
  list_add_tail(entry, head);
}

function splice(list: list_head, prev: list_head, next: list_head): void {
  const first = list.next;
  const last = list.prev;
  first.prev = prev;
  prev.next = first;
  last.next = next;
  next.prev = last;
  INIT_LIST_HEAD(list);
}

/** Moves all entries of `list` to the front of `head`; `list` is empty afterwards. */
export function list_splice_init(list: list_head, head: list_head): void {
  if (list.next !== list) splice(list, head, head.next);
}

/** Moves all entries of `list` to the end of `head`; `list` is empty afterwards. */
export function list_splice_tail_init(list: list_head, head: list_head): void {
  if (list.next !== list) splice(list, head.prev, head);
}

export const list_splice = list_splice_init;
export const list_splice_tail = list_splice_tail_init;

/** The struct of an entry. */
export function list_entry<T>(entry: list_head): T {
  return entry.container as T;
}

/** The struct of the first entry; the list is not empty. */
export function list_first_entry<T>(head: list_head): T {
  return head.next.container as T;
}

/** The struct of the last entry; the list is not empty. */
export function list_last_entry<T>(head: list_head): T {
  return head.prev.container as T;
}

/** The struct of the first entry, or null. */
export function list_first_entry_or_null<T>(head: list_head): T | null {
  return head.next === head ? null : (head.next.container as T);
}

/** The structs in order. The loop body may unlink the current entry. */
export function* list_for_each_entry<T>(head: list_head): Generator<T, void, void> {
  let entry = head.next;
  while (entry !== head) {
    const next = entry.next;
    yield entry.container as T;
    entry = next;
  }
}

/** How many entries the list has. */
export function list_count_nodes(head: list_head): number {
  let count = 0;
  for (let entry = head.next; entry !== head; entry = entry.next) count++;
  return count;
}
