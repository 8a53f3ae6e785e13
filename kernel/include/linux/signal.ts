/** `<linux/signal.h>`: the signals that are sent here. All but SIGCONT end a program that does not take them (`flush_signals`). */

export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGKILL = 9;
export const SIGPIPE = 13;
export const SIGTERM = 15;
