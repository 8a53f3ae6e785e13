/** `<linux/kernel.h>` and `<linux/bug.h>`: assertions and small arithmetic. */

/** What `container_of` needs of an embedded struct: who embeds it. */
export interface embedded {
  readonly container: unknown;
}

/** The struct that embeds `member`. The owner was given to the member's constructor. */
export function container_of<T>(member: embedded): T {
  return member.container as T;
}

/** Our own bug: prints "kernel BUG at" with a stack and kills the domain. */
export declare function BUG(): never;
/** `BUG()` if the condition holds. */
export declare function BUG_ON(condition: boolean): void;
/** Prints a warning with a stack if the condition holds, and goes on. Returns the condition. */
export declare function WARN_ON(condition: boolean): boolean;
/** `WARN_ON`, reporting each call site's message only the first time; the site is told by `where` or by the stack. */
export declare function WARN_ON_ONCE(condition: boolean, where?: string): boolean;
/** `WARN_ON` with a printk message. */
export declare function WARN(condition: boolean, fmt: string, ...args: unknown[]): boolean;
/** `WARN`, each format only the first time. */
export declare function WARN_ONCE(condition: boolean, fmt: string, ...args: unknown[]): boolean;
/** Stops the domain: "Kernel panic - not syncing: ...". */
export declare function panic(fmt: string, ...args: unknown[]): never;
/** Prints the current TypeScript stack at KERN_ERR. */
export declare function dump_stack(): void;
/** Complains when called in atomic context. Called by everything that may sleep. */
export declare function might_sleep(): void;

export function min(a: number, b: number): number {
  return a < b ? a : b;
}

export function max(a: number, b: number): number {
  return a > b ? a : b;
}

/** The smaller one that is not 0. */
export function min_not_zero(a: number, b: number): number {
  if (a === 0) return b;
  if (b === 0) return a;
  return a < b ? a : b;
}

/** `value` brought into [low, high]. */
export function clamp(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value;
}

/** n / d, rounded up; n below 2^53. */
export function DIV_ROUND_UP(n: number, d: number): number {
  return Math.floor((n + d - 1) / d);
}

/** `x` rounded up to a multiple of `y`. */
export function round_up(x: number, y: number): number {
  return Math.floor((x + y - 1) / y) * y;
}

/** `x` rounded down to a multiple of `y`. */
export function round_down(x: number, y: number): number {
  return x - (x % y);
}

/** `x` rounded up to a multiple of the power of two `a`. */
export const ALIGN = round_up;

/** Whether `x` is a multiple of `a`. */
export function IS_ALIGNED(x: number, a: number): boolean {
  return x % a === 0;
}

/** The upper 32 bits of a number below 2^53. */
export function upper_32_bits(n: number): number {
  return Math.floor(n / 0x100000000) >>> 0;
}

/** The lower 32 bits. */
export function lower_32_bits(n: number): number {
  return n >>> 0;
}

/** The elements of an array. */
export function ARRAY_SIZE(array: ArrayLike<unknown>): number {
  return array.length;
}
