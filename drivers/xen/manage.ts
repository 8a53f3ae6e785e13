/**
 * What the toolstack asks of this domain (Linux `drivers/xen/manage.c`): control/shutdown and control/sysrq.
 *
 *   toolstack writes "poweroff" -> watch -> read it and write "" in one transaction -> a thread of its own does it
 *
 * A thread of its own, because closing the devices needs the xenwatch thread. Writing "" tells the toolstack that the command was understood.
 */
import { SCHEDOP_shutdown, SCHED_SHUTDOWN_REASON, SHUTDOWN_suspend } from "../../hal/abi/sched";
import { __HYPERVISOR_sched_op } from "../../hal/abi/xen";
import { hal } from "../../hal/guest/hal";
import { for_each_device, type device } from "xenolith/linux/device";
import { IS_ERR } from "xenolith/linux/err";
import { EAGAIN } from "xenolith/linux/errno";
import { late_initcall } from "xenolith/linux/init";
import { local_irq_restore, local_irq_save } from "xenolith/linux/interrupt";
import { kthread_run } from "xenolith/linux/kthread";
import { pr_err, pr_info } from "xenolith/linux/printk";
import { kernel_halt, kernel_power_off, kernel_restart } from "xenolith/linux/reboot";
import type { Sleeps } from "xenolith/linux/sched";
import { handle_sysrq } from "xenolith/linux/sysrq";
import { ptr } from "xenolith/linux/types";
import {
  XBT_NIL,
  register_xenbus_watch,
  xenbus_printf,
  xenbus_read,
  xenbus_scanf,
  xenbus_transaction,
  xenbus_transaction_end,
  xenbus_transaction_start,
  xenbus_watch,
  xenbus_write,
  xenstored_is_ready,
  xs_resume,
  xs_suspend,
  xs_suspend_cancel,
} from "xenolith/xen/xenbus";
import { xen_irq_resume } from "xenolith/xen/events";
import { gnttab_resume, gnttab_suspend } from "xenolith/xen/grant_table";
import { xen_console_resume } from "./hvc_console";
import { hypercall_paddr, hypercall_slot_get, hypercall_slot_put, hypercall_words } from "./hypercall";

interface shutdown_handler {
  readonly command: string;
  /** Whether the toolstack is told that we know the command. */
  readonly advertise: boolean;
  act(): Sleeps<void>;
}

/** A command is being carried out; another one is ignored. */
let shutting_down = false;

// ---- suspend ----------------------------------------------------------------------------------------------------------------------------

/** Asks the hypervisor to suspend the domain. Comes back in the new life: 0, or 1 when the suspend was cancelled. */
function HYPERVISOR_suspend(): number {
  const slot = hypercall_slot_get();
  hypercall_words()[slot + SCHED_SHUTDOWN_REASON / 4] = SHUTDOWN_suspend;
  const result = hal.hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, hypercall_paddr(slot), 0);
  hypercall_slot_put(slot);
  return result;
}

/** The part with interrupts off: the hypervisor's tables go and come. Returns whether the suspend was cancelled. */
function xen_suspend(): boolean {
  const flags = local_irq_save();
  gnttab_suspend();
  const cancelled = HYPERVISOR_suspend() !== 0;
  if (!cancelled) {
    gnttab_resume();
    xen_irq_resume();
    xen_console_resume();
  }
  local_irq_restore(flags);
  return cancelled;
}

function* suspend_devices(): Sleeps<void> {
  const devices = [...for_each_device()].reverse();
  for (const dev of devices) {
    const suspend = dev.bus?.suspend ?? null;
    if (suspend !== null) yield* suspend(dev);
  }
}

function* resume_devices(): Sleeps<void> {
  const devices: device[] = [...for_each_device()];
  for (const dev of devices) {
    const resume = dev.bus?.resume ?? null;
    if (resume !== null) yield* resume(dev);
  }
}

function* do_suspend(): Sleeps<void> {
  yield* suspend_devices();
  yield* xs_suspend();
  const cancelled = xen_suspend();
  if (cancelled) {
    yield* xs_suspend_cancel();
  } else {
    yield* xs_resume();
    yield* resume_devices();
  }
  shutting_down = false;
}

// ---- control/shutdown -------------------------------------------------------------------------------------------------------------------

const shutdown_handlers: readonly shutdown_handler[] = [
  { command: "poweroff", advertise: true, act: kernel_power_off },
  { command: "halt", advertise: false, act: kernel_halt },
  { command: "reboot", advertise: true, act: kernel_restart },
  { command: "suspend", advertise: true, act: do_suspend },
];

/** Reads the command and acknowledges it: null when there is none that we know. */
function* take_command(): Sleeps<shutdown_handler | null> {
  for (;;) {
    const t = new xenbus_transaction();
    if ((yield* xenbus_transaction_start(t)) !== 0) return null;
    const command = yield* xenbus_read(t, "control", "shutdown", null);
    if (IS_ERR(command) || command === "") {
      yield* xenbus_transaction_end(t, 1);
      return null;
    }
    const handler = shutdown_handlers.find((known) => known.command === command);
    if (handler !== undefined) yield* xenbus_write(t, "control", "shutdown", "");
    const err = yield* xenbus_transaction_end(t, 0);
    if (err === -EAGAIN) continue;
    if (handler === undefined) pr_info("Ignoring shutdown request: %s\n", command);
    return handler ?? null;
  }
}

function* run_handler(handler: shutdown_handler): Sleeps<number> {
  yield* handler.act();
  return 0;
}

function* shutdown_changed(_watch: xenbus_watch, _path: string, _token: string): Sleeps<void> {
  if (shutting_down) return;
  const handler = yield* take_command();
  if (handler === null) return;
  shutting_down = true;
  const task = kthread_run(run_handler, handler, "xen-%s", handler.command);
  if (IS_ERR(task)) {
    pr_err("cannot carry out %s: %d\n", handler.command, task);
    shutting_down = false;
  }
}

// ---- control/sysrq ----------------------------------------------------------------------------------------------------------------------

function* sysrq_changed(_watch: xenbus_watch, _path: string, _token: string): Sleeps<void> {
  for (;;) {
    const t = new xenbus_transaction();
    if ((yield* xenbus_transaction_start(t)) !== 0) return;
    const key = ptr("");
    const found = yield* xenbus_scanf(t, "control", "sysrq", "%c", key);
    if (found <= 0 || key.value === "\0") {
      yield* xenbus_transaction_end(t, 1);
      return;
    }
    yield* xenbus_printf(t, "control", "sysrq", "%c", "\0");
    const err = yield* xenbus_transaction_end(t, 0);
    if (err === -EAGAIN) continue;
    pr_info("sysrq: key %s\n", key.value);
    handle_sysrq(key.value);
    return;
  }
}

// ---- start ------------------------------------------------------------------------------------------------------------------------------

function* watch_control(node: string, callback: NonNullable<xenbus_watch["callback"]>): Sleeps<number> {
  const watch = new xenbus_watch(null);
  watch.node = `control/${node}`;
  watch.callback = callback;
  const err = yield* register_xenbus_watch(watch);
  if (err !== 0) pr_err("Failed to set %s watcher\n", node);
  return err;
}

function* setup_shutdown_watcher(): Sleeps<number> {
  shutting_down = false;
  if (!xenstored_is_ready()) return 0;
  const err = yield* watch_control("shutdown", shutdown_changed);
  if (err !== 0) return err;
  yield* watch_control("sysrq", sysrq_changed);
  yield* xenbus_printf(XBT_NIL, "control", "feature-sysrq", "%d", 1);
  for (const handler of shutdown_handlers) {
    if (handler.advertise) yield* xenbus_printf(XBT_NIL, "control", `feature-${handler.command}`, "%d", 1);
  }
  return 0;
}
late_initcall(setup_shutdown_watcher);
