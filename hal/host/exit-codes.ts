/** Exit codes of the command line (documented in the README). */

/** All is well. */
export const EXIT_OK = 0;
/** A check or a test failed. */
export const EXIT_FAILED = 1;
/** Wrong usage: an argument, a file name, a key. */
export const EXIT_USAGE = 2;
/** A bad image, or one of another version. */
export const EXIT_IMAGE = 3;
/** A guest did not return in time. */
export const EXIT_TIMEOUT = 124;
/** Our own fault. */
export const EXIT_INTERNAL = 125;
/** By Ctrl-C or a signal. */
export const EXIT_INTERRUPTED = 130;
/** A guest panicked. */
export const EXIT_PANIC = 255;
