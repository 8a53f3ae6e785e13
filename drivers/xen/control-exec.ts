/**
 * Programs on demand: the toolstack writes a command line into xenstore, this runs it and writes back how it ended. Output goes to the console.
 *
 *   control/feature-exec           written here once programs can be run
 *   control/exec/<n>               written by the toolstack: the command line
 *   control/exec/<n>/terminal      written by the toolstack when the terminal has changed, see below
 *   control/exec/<n>/status        written here: the exit status, once the program has ended and its output is in the console ring
 *
 * Commands run one after the other, in the order of their numbers, with nothing to read. One that begins with `terminal=WORD ` runs beside them
 * and has the console as its terminal. The word is `ROWSxCOLUMNS` for somebody at a keyboard, or `pipe` for a plain stream without echo, editing
 * or signals; later it may become another size, or `closed` once nothing more will be typed.
 *
 * Not part of Xen; the node sits where a toolstack's requests to a guest are.
 */
import { run_program, split_command, type stdio_files } from "xenolith/linux/binfmts";
import { IS_ERR } from "xenolith/linux/err";
import {
  FMODE_READ,
  FMODE_WRITE,
  O_RDWR,
  file,
  filp_close,
  filp_open,
  kernel_write,
  vfs_ioctl,
} from "xenolith/linux/fs";
import { late_initcall } from "xenolith/linux/init";
import { kthread_run } from "xenolith/linux/kthread";
import type { Sleeps } from "xenolith/linux/sched";
import { string_to_bytes } from "xenolith/linux/string";
import { TCSETS, TIOCSWINSZ, TIOCVHANGUP, cfmakeraw, termios, winsize } from "xenolith/linux/termios";
import { ptr } from "xenolith/linux/types";
import { wait_event_interruptible, wait_queue_head, wake_up } from "xenolith/linux/wait";
import { hvc_write } from "xenolith/xen/hvc";
import {
  XBT_NIL,
  register_xenbus_watch,
  xenbus_directory,
  xenbus_exists,
  xenbus_printf,
  xenbus_read,
  xenbus_watch,
} from "xenolith/xen/xenbus";

const DIRECTORY = "control/exec";

const wq = new wait_queue_head();
/** The number of the next command to run. */
let next = 0;
/** Something below the directory changed. */
let changed = false;

/** A command that has the console as its terminal. */
interface session {
  readonly number: number;
  readonly line: string;
  terminal: string;
  readonly tty: file;
}

const sessions: session[] = [];

/** The console as it is for commands without a terminal: no line discipline, nothing to read. */
const console_file = new file();
console_file.f_mode = FMODE_READ | FMODE_WRITE;
console_file.f_op = {
  *read() {
    return 0;
  },
  *write(_file, from) {
    return yield* hvc_write(from);
  },
};

function* run_command(line: string, io: file): Sleeps<number> {
  const files: stdio_files = [io, io, io];
  const argv = split_command(line);
  if (argv !== null && argv.length > 0) return yield* run_program(argv, files);
  const complaint = argv === null ? `sh: unterminated quote in: ${line}\n` : "sh: empty command\n";
  yield* kernel_write(io, string_to_bytes(complaint));
  return 2;
}

function* report(number: number, status: number): Sleeps<void> {
  yield* xenbus_printf(XBT_NIL, `${DIRECTORY}/${number}`, "status", "%d", status);
}

// ---- terminals --------------------------------------------------------------------------------------------------------------------------

/** Sets the terminal as its node says. */
function* set_terminal(tty: file, terminal: string): Sleeps<void> {
  const size = /^(\d{1,4})x(\d{1,4})$/.exec(terminal);
  if (size !== null) {
    const window = new winsize();
    window.ws_row = Number(size[1]);
    window.ws_col = Number(size[2]);
    yield* vfs_ioctl(tty, TIOCSWINSZ, window);
  } else if (terminal === "closed") yield* vfs_ioctl(tty, TIOCVHANGUP, null);
}

function* session_thread(run: session): Sleeps<number> {
  const status = yield* run_command(run.line, run.tty);
  sessions.splice(sessions.indexOf(run), 1);
  yield* filp_close(run.tty);
  yield* report(run.number, status);
  return 0;
}

function* start_session(number: number, line: string, terminal: string): Sleeps<void> {
  const tty = yield* filp_open("/dev/hvc0", O_RDWR, 0);
  if (IS_ERR(tty)) {
    yield* report(number, 1);
    return;
  }
  const settings = new termios();
  if (terminal === "pipe") cfmakeraw(settings);
  yield* vfs_ioctl(tty, TCSETS, settings);
  yield* set_terminal(tty, terminal);
  const run: session = { number, line, terminal, tty };
  sessions.push(run);
  kthread_run(session_thread, run, "xenexec/%d", number);
}

/** Looks whether the toolstack has said something new about a terminal. */
function* poll_terminals(): Sleeps<void> {
  for (const run of [...sessions]) {
    const terminal = yield* xenbus_read(XBT_NIL, `${DIRECTORY}/${run.number}`, "terminal", null);
    if (IS_ERR(terminal) || terminal === run.terminal) continue;
    run.terminal = terminal;
    yield* set_terminal(run.tty, terminal);
  }
}

// ---- commands ---------------------------------------------------------------------------------------------------------------------------

/** Runs all commands that are there and have not run. */
function* run_pending(): Sleeps<void> {
  for (;;) {
    const number = next;
    if (!(yield* xenbus_exists(XBT_NIL, DIRECTORY, String(number)))) return;
    const line = yield* xenbus_read(XBT_NIL, DIRECTORY, String(number), null);
    if (IS_ERR(line) || line === "") return;
    next++;
    const session = /^terminal=(\S+) (.*)$/s.exec(line);
    if (session !== null) yield* start_session(number, session[2], session[1]);
    else yield* report(number, yield* run_command(line, console_file));
  }
}

function* exec_thread(): Sleeps<number> {
  yield* xenbus_printf(XBT_NIL, "control", "feature-exec", "%d", 1);
  for (;;) {
    yield* wait_event_interruptible(wq, () => changed);
    changed = false;
    yield* poll_terminals();
    yield* run_pending();
    yield* poll_terminals(); // what was said before a session was there
  }
}

const exec_watch = new xenbus_watch(null);
exec_watch.node = DIRECTORY;
exec_watch.callback = () => {
  changed = true;
  wake_up(wq);
};

late_initcall(function* (): Sleeps<number> {
  const found = yield* xenbus_directory(XBT_NIL, "control", "", ptr(0));
  if (IS_ERR(found)) return 0;
  const thread = kthread_run(exec_thread, null, "xenexec");
  if (IS_ERR(thread)) return thread;
  return yield* register_xenbus_watch(exec_watch);
});
