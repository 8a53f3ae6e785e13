/** `<linux/semaphore.h>`: the counting semaphore. */
import { list_head } from "./list";
import type { Sleeps } from "./sched";

export class semaphore {
  count: number;
  readonly wait_list = new list_head(this);

  constructor(count = 1) {
    this.count = count;
  }
}

export function sema_init(sem: semaphore, count: number): void {
  sem.count = count;
}

/** Takes one, sleeping until there is one. */
export declare function down(sem: semaphore): Sleeps<void>;
/** Returns 0, or -EINTR if a signal came first. Sleeps. */
export declare function down_interruptible(sem: semaphore): Sleeps<number>;
/** Returns 0, or -ETIME after `timeout` jiffies. Sleeps. */
export declare function down_timeout(sem: semaphore, timeout: number): Sleeps<number>;
/** Takes one if there is one. Returns 0 if it did, 1 if not (as on Linux). */
export declare function down_trylock(sem: semaphore): number;
export declare function up(sem: semaphore): void;
