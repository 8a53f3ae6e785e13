/** `<linux/gfp.h>`: how to allocate. No allocation sleeps here, so most flags only say what the caller would allow. */

export const __GFP_ZERO = 0x100;
export const __GFP_NOWARN = 0x2000;
export const __GFP_NORETRY = 0x10000;
export const __GFP_DIRECT_RECLAIM = 0x400;
export const __GFP_IO = 0x40;
export const __GFP_FS = 0x80;
export const GFP_KERNEL = 0xcc0;
export const GFP_ATOMIC = 0x820;
export const GFP_NOIO = 0xc00;
export const GFP_NOFS = 0xc40;
export const GFP_NOWAIT = 0x800;
/** The page is zeroed. */
export const GFP_ZERO = __GFP_ZERO;

export type gfp_t = number;
