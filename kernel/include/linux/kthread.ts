/** `<linux/kthread.h>`: kernel threads. */
import type { Sleeps, task_struct } from "./sched";
import type { err_ptr } from "./err";

/** A kernel thread's body; the result is what `kthread_stop` returns. */
export type threadfn<T> = (data: T) => Sleeps<number>;

/** Makes a thread that runs once it is woken. `fmt` and `args` make its name. Returns it, or -ENOMEM. */
export declare function kthread_create<T>(
  threadfn: threadfn<T>,
  data: T,
  fmt: string,
  ...args: unknown[]
): task_struct | err_ptr;
/** `kthread_create` on `cpu`; bound to it. */
export declare function kthread_create_on_cpu<T>(
  threadfn: threadfn<T>,
  data: T,
  cpu: number,
  fmt: string,
): task_struct | err_ptr;
/** `kthread_create` and `wake_up_process`. */
export declare function kthread_run<T>(
  threadfn: threadfn<T>,
  data: T,
  fmt: string,
  ...args: unknown[]
): task_struct | err_ptr;
/** Binds a thread that has not run yet to a CPU. */
export declare function kthread_bind(task: task_struct, cpu: number): void;
/** Asks the thread to end, waits until it has, and returns its result; -EINTR if it never ran. Sleeps. */
export declare function kthread_stop(task: task_struct): Sleeps<number>;
/** Whether `kthread_stop` was called on the running thread. */
export declare function kthread_should_stop(): boolean;
/** Asks the thread to park and waits until it has. Returns 0, or -ENOSYS if it is dead. Sleeps. */
export declare function kthread_park(task: task_struct): Sleeps<number>;
/** Lets a parked thread go on. */
export declare function kthread_unpark(task: task_struct): void;
/** Whether `kthread_park` was called on the running thread. */
export declare function kthread_should_park(): boolean;
/** Called by the thread itself when `kthread_should_park()`. Sleeps until unparked. */
export declare function kthread_parkme(): Sleeps<void>;
/** What was given to `kthread_create` as `data`. */
export declare function kthread_data(task: task_struct): unknown;
