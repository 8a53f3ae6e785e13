/** `<linux/bug.h>`. */
export { BUG, BUG_ON, WARN, WARN_ON, WARN_ONCE, WARN_ON_ONCE } from "./kernel";
