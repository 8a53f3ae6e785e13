/** The ways a domain ends on purpose: tell everybody, shut devices down, tell the hypervisor why. */
import { device_shutdown } from "xenolith/linux/device";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import {
  notifier_call_chain,
  notifier_chain_register,
  notifier_chain_unregister,
  notifier_head,
  type notifier_block,
} from "xenolith/linux/notifier";
import { pr_emerg } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { SHUTDOWN_poweroff, SHUTDOWN_reboot } from "../hal/abi/sched";
import { HYPERVISOR_shutdown } from "./arch/xen/hypercall";

const reboot_notifiers = new notifier_head();

/** What reboot notifiers are told. */
const SYS_RESTART = 1;
const SYS_HALT = 2;
const SYS_POWER_OFF = 3;

export function register_reboot_notifier(nb: notifier_block): number {
  return notifier_chain_register(reboot_notifiers, nb);
}
EXPORT_SYMBOL(register_reboot_notifier);

export function unregister_reboot_notifier(nb: notifier_block): number {
  return notifier_chain_unregister(reboot_notifiers, nb);
}
EXPORT_SYMBOL(unregister_reboot_notifier);

export function machine_shutdown(reason: number): void {
  HYPERVISOR_shutdown(reason);
}
EXPORT_SYMBOL(machine_shutdown);

function* shut_down(action: number, message: string, reason: number): Sleeps<void> {
  notifier_call_chain(reboot_notifiers, action, null);
  yield* device_shutdown();
  pr_emerg("%s\n", message);
  machine_shutdown(reason);
  for (;;) yield; // the hypervisor does not enter us again
}

export function* kernel_power_off(): Sleeps<void> {
  yield* shut_down(SYS_POWER_OFF, "reboot: Power down", SHUTDOWN_poweroff);
}
EXPORT_SYMBOL(kernel_power_off);

export function* kernel_restart(): Sleeps<void> {
  yield* shut_down(SYS_RESTART, "reboot: Restarting system", SHUTDOWN_reboot);
}
EXPORT_SYMBOL(kernel_restart);

export function* kernel_halt(): Sleeps<void> {
  yield* shut_down(SYS_HALT, "reboot: System halted", SHUTDOWN_poweroff);
}
EXPORT_SYMBOL(kernel_halt);
