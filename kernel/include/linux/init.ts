/** `<linux/init.h>`: built-in code registers functions that run at boot, level by level, in the order of registration within a level. */
import type { initcall_t } from "./module";

export declare function early_initcall(fn: initcall_t): void;
export declare function pure_initcall(fn: initcall_t): void;
export declare function core_initcall(fn: initcall_t): void;
export declare function postcore_initcall(fn: initcall_t): void;
export declare function arch_initcall(fn: initcall_t): void;
export declare function subsys_initcall(fn: initcall_t): void;
export declare function fs_initcall(fn: initcall_t): void;
export declare function device_initcall(fn: initcall_t): void;
export declare function late_initcall(fn: initcall_t): void;

/** The kernel command line, as the toolstack gave it. */
export declare function saved_command_line(): string;
