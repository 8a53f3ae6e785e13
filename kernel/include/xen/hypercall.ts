/**
 * Hypercalls by name, with their argument structs in a private page (Linux `asm/xen/hypercall.h`).
 */

/** `cmd` on `count` structs at `paddr` (a byte offset into own RAM): 0 or a negative errno; results are in the structs. */
export declare function HYPERVISOR_grant_table_op(cmd: number, paddr: number, count: number): number;
/** `cmd` on the struct at `paddr`: 0 or a negative errno. */
export declare function HYPERVISOR_event_channel_op(cmd: number, paddr: number): number;
/** The host disks' doorbell (hal/abi/hostdisk.ts): HOSTDISK_OP_* with its two arguments. 0 or a negative errno. */
export declare function HYPERVISOR_hostdisk_op(op: number, a1: number, a2: number): number;

/**
 * Takes a 64-byte slot of argument memory and returns the index of its first word in `hypercall_words()`. Slots are a stack, since an
 * interrupt or another vCPU may come between filling in and calling, and always leaves before we go on. Never sleep while holding one.
 */
export declare function hypercall_slot_get(): number;
/** Gives back the slot that was taken last. */
export declare function hypercall_slot_put(slot: number): void;
/** The argument page's words. */
export declare function hypercall_words(): Uint32Array;
/** The byte offset into own RAM of a word of the argument page. */
export declare function hypercall_paddr(slot: number): number;
