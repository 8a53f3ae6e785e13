/**
 * Programs on demand: the toolstack writes a command line into xenstore, this runs it and writes back how it ended. Output goes to the console.
 *
 *   control/feature-exec      written here once programs can be run
 *   control/exec/<n>          written by the toolstack: the command line
 *   control/exec/<n>/status   written here: the exit status, once the program has ended and its output is in the console ring
 *
 * Commands run one after the other, in the order of their numbers. Not part of Xen; the node sits where a toolstack's requests to a guest are.
 */
import { run_program, split_command, type stdio } from "xenolith/linux/binfmts";
import { IS_ERR } from "xenolith/linux/err";
import { late_initcall } from "xenolith/linux/init";
import { kthread_run } from "xenolith/linux/kthread";
import type { Sleeps } from "xenolith/linux/sched";
import { string_to_bytes } from "xenolith/linux/string";
import { ptr } from "xenolith/linux/types";
import { wait_event_interruptible, wait_queue_head, wake_up } from "xenolith/linux/wait";
import { hvc_read_line, hvc_write } from "xenolith/xen/hvc";
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

const console_io: stdio = {
  *write(text) {
    yield* hvc_write(string_to_bytes(text));
  },
  *error(text) {
    yield* hvc_write(string_to_bytes(text));
  },
  read_line: hvc_read_line,
};

function* run_command(line: string): Sleeps<number> {
  const argv = split_command(line);
  if (argv === null || argv.length === 0) {
    yield* console_io.error(argv === null ? `sh: unterminated quote in: ${line}\n` : "sh: empty command\n");
    return 2;
  }
  return yield* run_program(argv, console_io);
}

/** Runs all commands that are there and have not run. */
function* run_pending(): Sleeps<void> {
  for (;;) {
    const name = String(next);
    if (!(yield* xenbus_exists(XBT_NIL, DIRECTORY, name))) return;
    const line = yield* xenbus_read(XBT_NIL, DIRECTORY, name, null);
    if (IS_ERR(line) || line === "") return;
    next++;
    const status = yield* run_command(line);
    yield* xenbus_printf(XBT_NIL, `${DIRECTORY}/${name}`, "status", "%d", status);
  }
}

function* exec_thread(): Sleeps<number> {
  yield* xenbus_printf(XBT_NIL, "control", "feature-exec", "%d", 1);
  for (;;) {
    yield* wait_event_interruptible(wq, () => changed);
    changed = false;
    yield* run_pending();
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
