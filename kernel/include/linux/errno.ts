/** `<linux/errno.h>`: the error numbers, positive; functions return them negated. */
export * from "../../../hal/abi/errno";

/** Only inside the kernel: an interruptible sleep was ended by a signal. */
export const ERESTARTSYS = 512;
/** Only inside the kernel: no ioctl of that number. */
export const ENOIOCTLCMD = 515;
/** Only inside the kernel: a driver asks to be probed again later. */
export const EPROBE_DEFER = 517;
/** Only inside the kernel: operation is not supported. */
export const ENOTSUPP = 524;
