/** `<linux/proc_fs.h>`: texts in /proc. */

/** Makes /proc/NAME, whose text is made by `show` each time it is opened. Returns 0 or -EEXIST. */
export declare function proc_create_single(name: string, show: () => string): number;
/** Takes it away. */
export declare function remove_proc_entry(name: string): void;
