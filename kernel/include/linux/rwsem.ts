/** `<linux/rwsem.h>`: many readers or one writer; a waiting writer holds new readers off. */
import { wait_queue_head } from "./wait";
import type { Sleeps } from "./sched";

export class rw_semaphore {
  /** Readers inside; -1 while a writer is. */
  count = 0;
  /** Writers that wait. */
  writers_waiting = 0;
  readonly wait = new wait_queue_head();
  readonly container: unknown;

  constructor(container: unknown = null) {
    this.container = container;
  }
}

export function init_rwsem(sem: rw_semaphore): void {
  sem.count = 0;
}

export declare function down_read(sem: rw_semaphore): Sleeps<void>;
/** Returns 1 if it took the lock, else 0. */
export declare function down_read_trylock(sem: rw_semaphore): number;
export declare function up_read(sem: rw_semaphore): void;
export declare function down_write(sem: rw_semaphore): Sleeps<void>;
/** Returns 1 if it took the lock, else 0. */
export declare function down_write_trylock(sem: rw_semaphore): number;
export declare function up_write(sem: rw_semaphore): void;
/** The writer goes on as a reader. */
export declare function downgrade_write(sem: rw_semaphore): void;
