/** `<linux/random.h>`: numbers from the machine's seed, so that every run with it draws the same ones. */

/** 32 random bits. */
export declare function get_random_u32(): number;
/** 0 to ceil - 1. */
export declare function get_random_u32_below(ceil: number): number;
/** Fills the array. */
export declare function get_random_bytes(bytes: Uint8Array): void;
/** Mixes a number in. */
export declare function add_device_randomness(value: number): void;
