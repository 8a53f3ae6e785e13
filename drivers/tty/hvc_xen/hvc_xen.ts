/**
 * The terminal on the Xen console: /dev/hvc0, and /dev/console and /dev/tty, which are the same one (Linux drivers/tty/tty_io.c and hvc_console.c).
 *
 *   console ring ─ hvc_get_chars ─► n_tty ─► read             write ─► n_tty ─► hvc_write ─► console ring
 *                                     └────── echo, as far as there is room; the rest waits ──────┘
 *
 * What nobody reads stays in the ring: then the daemon keeps the rest. The daemon and who types are trusted with nothing but text.
 */
import { EINTR, EINVAL, ENODEV, ENOTTY } from "xenolith/linux/errno";
import { type file_operations, register_chrdev, unregister_chrdev } from "xenolith/linux/fs";
import { HZ } from "xenolith/linux/jiffies";
import { HVC_MAJOR, TTYAUX_MAJOR } from "xenolith/linux/major";
import {
  MODULE_ALIAS,
  MODULE_DESCRIPTION,
  MODULE_LICENSE,
  __module_get,
  module_exit,
  module_init,
  module_put,
  this_module,
} from "xenolith/linux/module";
import { type Sleeps, kill_pgrp } from "xenolith/linux/sched";
import { bytes_to_string, string_to_bytes } from "xenolith/linux/string";
import {
  ICANON,
  TCGETS,
  TCSETS,
  TCSETSF,
  TCSETSW,
  TIOCGPGRP,
  TIOCGWINSZ,
  TIOCSPGRP,
  TIOCSWINSZ,
  TIOCVHANGUP,
  VMIN,
  VTIME,
  copy_termios,
  type termios,
  winsize,
} from "xenolith/linux/termios";
import type { Ptr } from "xenolith/linux/types";
import {
  wait_event_interruptible,
  wait_event_interruptible_timeout,
  wait_queue_head,
  wake_up_interruptible_all,
} from "xenolith/linux/wait";
import { hvc_exists, hvc_get_chars, hvc_put_chars, hvc_set_receiver, hvc_write } from "xenolith/xen/hvc";
import { N_TTY_BUF_SIZE, n_tty } from "./n_tty";

const THIS_MODULE = this_module();

const readers = new wait_queue_head();
const window = new winsize();
const input = new Uint8Array(N_TTY_BUF_SIZE);
/** Who gets the keys' signals. */
let pgrp = 0;
/** Descriptors of it. While there are none, what is typed stays in the ring. Linux: tty->count. */
let opened = 0;
/** Nobody types any more. Linux: TTY_OTHER_CLOSED. */
let hung_up = false;
/** Echoes that the ring had no room for. */
let unsent = "";

const ldisc = new n_tty({
  echo(text) {
    unsent += text;
    send_echo();
  },
  signal(sig) {
    kill_pgrp(pgrp, sig, 1);
  },
});

function send_echo(): void {
  if (unsent !== "") unsent = unsent.slice(hvc_put_chars(string_to_bytes(unsent)));
}

/** Takes what was typed, as far as there is room for it. In an interrupt, and after every read. Linux: hvc_poll. */
function hvc_poll(): void {
  send_echo();
  for (let room = ldisc.receive_room(); room > 0; room = ldisc.receive_room()) {
    const count = hvc_get_chars(input.subarray(0, room));
    if (count === 0) break;
    ldisc.receive_buf(input, count);
  }
  if (ldisc.input_available()) wake_up_interruptible_all(readers);
}

function may_read(): boolean {
  return ldisc.input_available() || hung_up;
}

/** Sleeps until there is something to read: 1, 0 when a raw read's time is over, or -EINTR. */
function* wait_for_input(): Sleeps<number> {
  const { c_lflag, c_cc } = ldisc.termios;
  if ((c_lflag & ICANON) !== 0 || c_cc[VMIN] > 0) {
    return (yield* wait_event_interruptible(readers, may_read)) === 0 ? 1 : -EINTR;
  }
  const left = yield* wait_event_interruptible_timeout(readers, may_read, (c_cc[VTIME] * HZ) / 10);
  return left < 0 ? -EINTR : Math.min(left, 1);
}

function set_termios(from: termios): void {
  copy_termios(ldisc.termios, from);
  ldisc.settings_changed();
}

function hang_up(): void {
  hung_up = true;
  ldisc.hang_up();
  wake_up_interruptible_all(readers);
}

function tty_ioctl(cmd: number, arg: unknown): number {
  switch (cmd) {
    case TCGETS:
      copy_termios(arg as termios, ldisc.termios);
      return 0;
    case TCSETSF:
      ldisc.flush();
      set_termios(arg as termios);
      return 0;
    case TCSETS:
    case TCSETSW:
      set_termios(arg as termios);
      return 0;
    case TIOCGWINSZ:
      Object.assign(arg as winsize, window);
      return 0;
    case TIOCSWINSZ:
      Object.assign(window, arg as winsize);
      return 0;
    case TIOCGPGRP:
      (arg as Ptr<number>).value = pgrp;
      return 0;
    case TIOCSPGRP:
      if (typeof arg !== "number") return -EINVAL;
      pgrp = arg;
      return 0;
    case TIOCVHANGUP:
      hang_up();
      return 0;
    default:
      return -ENOTTY;
  }
}

const tty_fops: file_operations = {
  *open() {
    if (!hvc_exists()) return -ENODEV;
    __module_get(THIS_MODULE);
    if (opened++ === 0) hvc_set_receiver(hvc_poll);
    return 0;
  },
  *read(_file, to) {
    for (;;) {
      hvc_poll();
      if (ldisc.input_available()) break;
      if (hung_up) return 0;
      const ready = yield* wait_for_input();
      if (ready <= 0) return ready;
    }
    const count = ldisc.read(to);
    hvc_poll();
    return count;
  },
  *write(_file, from) {
    const done = yield* hvc_write(string_to_bytes(ldisc.process_output(bytes_to_string(from))));
    return done < 0 ? done : from.length;
  },
  *ioctl(_file, cmd, arg) {
    return tty_ioctl(cmd, arg);
  },
  *release() {
    module_put(THIS_MODULE);
    if (--opened > 0) return;
    hvc_set_receiver(null);
    ldisc.flush();
    hung_up = false;
  },
};

function hvc_xen_init(): number {
  const error = register_chrdev(HVC_MAJOR, "hvc", tty_fops);
  if (error !== 0) return error;
  register_chrdev(TTYAUX_MAJOR, "/dev/tty", tty_fops);
  return 0;
}

function hvc_xen_exit(): void {
  unregister_chrdev(TTYAUX_MAJOR, "/dev/tty");
  unregister_chrdev(HVC_MAJOR, "hvc");
}

module_init(hvc_xen_init);
module_exit(hvc_xen_exit);

MODULE_ALIAS("char-major-229");
MODULE_ALIAS("char-major-5");
MODULE_DESCRIPTION("Terminal on the Xen console");
MODULE_LICENSE("Dual MIT/GPL");
