/** Read-write semaphores: `count` readers, or one writer as -1. A waiting writer holds new readers off. */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { BUG_ON } from "xenolith/linux/kernel";
import type { rw_semaphore } from "xenolith/linux/rwsem";
import type { Sleeps } from "xenolith/linux/sched";
import { wait_event, wake_up_all } from "xenolith/linux/wait";

export function down_read_trylock(sem: rw_semaphore): number {
  if (sem.count < 0 || sem.writers_waiting > 0) return 0;
  sem.count++;
  return 1;
}
EXPORT_SYMBOL(down_read_trylock);

export function* down_read(sem: rw_semaphore): Sleeps<void> {
  if (down_read_trylock(sem) === 0) yield* wait_event(sem.wait, () => down_read_trylock(sem) === 1);
}
EXPORT_SYMBOL(down_read);

export function up_read(sem: rw_semaphore): void {
  BUG_ON(sem.count <= 0);
  if (--sem.count === 0) wake_up_all(sem.wait);
}
EXPORT_SYMBOL(up_read);

export function down_write_trylock(sem: rw_semaphore): number {
  if (sem.count !== 0) return 0;
  sem.count = -1;
  return 1;
}
EXPORT_SYMBOL(down_write_trylock);

export function* down_write(sem: rw_semaphore): Sleeps<void> {
  if (down_write_trylock(sem) === 1) return;
  sem.writers_waiting++;
  yield* wait_event(sem.wait, () => down_write_trylock(sem) === 1);
  sem.writers_waiting--;
}
EXPORT_SYMBOL(down_write);

export function up_write(sem: rw_semaphore): void {
  BUG_ON(sem.count !== -1);
  sem.count = 0;
  wake_up_all(sem.wait);
}
EXPORT_SYMBOL(up_write);

export function downgrade_write(sem: rw_semaphore): void {
  BUG_ON(sem.count !== -1);
  sem.count = 1;
  wake_up_all(sem.wait);
}
EXPORT_SYMBOL(downgrade_write);
