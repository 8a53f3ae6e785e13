/** `<linux/major.h>`: numbers of character devices. */

export const MEM_MAJOR = 1;
/** /dev/tty and /dev/console. */
export const TTYAUX_MAJOR = 5;
/** Consoles of a hypervisor, /dev/hvc0. Linux: drivers/tty/hvc/hvc_console.h. */
export const HVC_MAJOR = 229;
