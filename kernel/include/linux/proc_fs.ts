/** `<linux/proc_fs.h>`: texts in /proc. */
import type { Sleeps } from "./sched";

/** What reading and writing a file of /proc does; without `show` it cannot be read, without `store` not written. */
export interface proc_ops {
  /** The text, made each time that the file is opened. */
  show?(): string;
  /** Takes what was written. Returns the count or a negative errno. May sleep. */
  store?(text: string): Sleeps<number>;
}

/** Makes /proc/NAME with permission bits `mode`. Returns 0 or -EEXIST. */
export declare function proc_create(name: string, mode: number, ops: proc_ops): number;
/** Makes /proc/NAME, whose text is made by `show` each time it is opened. Returns 0 or -EEXIST. */
export declare function proc_create_single(name: string, show: () => string): number;
/** Takes it away. */
export declare function remove_proc_entry(name: string): void;
