/**
 * `<linux/export.h>`. Written once at top level of the file that defines a symbol: `EXPORT_SYMBOL(submit_bio);`. The linker passes the name as well.
 * A header says `export declare function submit_bio(...)`; a module that imports it gets the kernel's one at load.
 */
export declare function EXPORT_SYMBOL(symbol: unknown): void;
/** As `EXPORT_SYMBOL`, for modules whose licence is GPL compatible. MIT is ("Dual MIT/GPL"). */
export declare function EXPORT_SYMBOL_GPL(symbol: unknown): void;
