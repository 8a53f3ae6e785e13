/**
 * Starting xenbus, level by level as on Linux: the connection, the two buses, the devices, and the wait for them.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { device_initcall, late_initcall, postcore_initcall, subsys_initcall } from "xenolith/linux/init";
import { NOTIFY_DONE } from "xenolith/linux/notifier";
import { pr_warn } from "xenolith/linux/printk";
import { register_reboot_notifier } from "xenolith/linux/reboot";
import type { Sleeps } from "xenolith/linux/sched";
import { xen_store_ring } from "../start-info";
import { xenbus_set_shutting_down } from "./xenbus_dev";
import { backend_probe_and_watch, xenbus_probe_backend_init } from "./xenbus_probe_backend";
import {
  frontend_probe_and_watch,
  frontend_wait_for_devices,
  xenbus_probe_frontend_init,
} from "./xenbus_probe_frontend";
import { set_ready_to_wait_for_devices } from "./xenbus_wait";
import { xs_init } from "./xenbus_watch";

let connected = false;

export function xenstored_is_ready(): boolean {
  return connected;
}
EXPORT_SYMBOL(xenstored_is_ready);

function xenbus_init(): number {
  connected = false;
  if (xen_store_ring().pfn < 0) return 0;
  const err = xs_init();
  if (err !== 0) {
    pr_warn("Error initializing xenstore comms: %i\n", err);
    return err;
  }
  connected = true;
  xenbus_set_shutting_down(false);
  register_reboot_notifier({
    notifier_call: () => {
      xenbus_set_shutting_down(true);
      return NOTIFY_DONE;
    },
  });
  return 0;
}
postcore_initcall(xenbus_init);

function xenbus_buses_init(): number {
  const err = xenbus_probe_frontend_init();
  return err !== 0 ? err : xenbus_probe_backend_init();
}
subsys_initcall(xenbus_buses_init);

function* xenbus_probe_initcall(): Sleeps<number> {
  if (!connected) return 0;
  yield* frontend_probe_and_watch();
  yield* backend_probe_and_watch();
  return 0;
}
device_initcall(xenbus_probe_initcall);

function* boot_wait_for_devices(): Sleeps<number> {
  set_ready_to_wait_for_devices();
  yield* frontend_wait_for_devices();
  return 0;
}
late_initcall(boot_wait_for_devices);
