/** `<linux/termios.h>`: how a terminal is set, and the requests that ask and change it (`vfs_ioctl`). */

/** Input: CR becomes NL. */
export const ICRNL = 0o400;
/** Output is processed: NL becomes CR NL. */
export const OPOST = 0o1;
export const ONLCR = 0o4;
/** Keys send signals. */
export const ISIG = 0o1;
/** Lines are edited and read whole. */
export const ICANON = 0o2;
export const ECHO = 0o10;
/** The erase key rubs out. */
export const ECHOE = 0o20;
/** Control characters are shown as ^X. */
export const ECHOCTL = 0o1000;
/** The kill key rubs out the line. */
export const ECHOKE = 0o4000;
/** Word erase and the like. */
export const IEXTEN = 0o100000;

// Indices of c_cc.
export const VINTR = 0;
export const VQUIT = 1;
export const VERASE = 2;
export const VKILL = 3;
export const VEOF = 4;
/** Tenths of a second that a raw read waits for the first (VMIN 0) byte. */
export const VTIME = 5;
/** Bytes that a raw read waits for: 0 or 1. */
export const VMIN = 6;
export const VREPRINT = 12;
export const VWERASE = 14;
export const VLNEXT = 15;
export const NCCS = 19;

export const TCGETS = 0x5401;
/** Set at once. */
export const TCSETS = 0x5402;
/** Set when what was written is out. */
export const TCSETSW = 0x5403;
/** TCSETSW, and drop what was typed and not read. */
export const TCSETSF = 0x5404;
/** The process group that gets the keys' signals. */
export const TIOCGPGRP = 0x540f;
export const TIOCSPGRP = 0x5410;
export const TIOCGWINSZ = 0x5413;
export const TIOCSWINSZ = 0x5414;
/** Nobody will type any more: readers get what is there, then the end. */
export const TIOCVHANGUP = 0x5437;

/** What TCGETS fills in and TCSETS takes. */
export class termios {
  c_iflag = ICRNL;
  c_oflag = OPOST | ONLCR;
  c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOCTL | ECHOKE | IEXTEN;
  /** Characters of the keys, by V*. */
  readonly c_cc: number[] = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0];
}

/** What TIOCGWINSZ fills in and TIOCSWINSZ takes. */
export class winsize {
  ws_row = 24;
  ws_col = 80;
}

/** No processing at all, as cfmakeraw leaves it. */
export function cfmakeraw(to: termios): void {
  to.c_iflag &= ~ICRNL;
  to.c_oflag &= ~OPOST;
  to.c_lflag &= ~(ECHO | ICANON | ISIG | IEXTEN);
  to.c_cc[VMIN] = 1;
  to.c_cc[VTIME] = 0;
}

/** Makes `to` what `from` is. */
export function copy_termios(to: termios, from: termios): void {
  to.c_iflag = from.c_iflag;
  to.c_oflag = from.c_oflag;
  to.c_lflag = from.c_lflag;
  for (let i = 0; i < NCCS; i++) to.c_cc[i] = from.c_cc[i];
}
