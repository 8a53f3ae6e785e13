/** `<linux/utsname.h>`: what this kernel calls itself. */

export const UTS_SYSNAME = "Xenolith";
/** The package's version. */
export const UTS_RELEASE = "0.1.0";
export const UTS_MACHINE = "javascript";
