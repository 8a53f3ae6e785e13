/**
 * What the toolstack does when a domain ends by itself: xl's `on_poweroff`, `on_reboot` and `on_crash`.
 *
 *   poweroff ─► destroy        reboot ─► restart        crash ─► destroy        (xl's defaults)
 */
import {
  SHUTDOWN_crash,
  SHUTDOWN_poweroff,
  SHUTDOWN_reboot,
  SHUTDOWN_soft_reset,
  SHUTDOWN_suspend,
  SHUTDOWN_watchdog,
} from "../../abi/sched";

/** destroy: its memory is given back. restart: it is built anew with the disks that it had. preserve: it stays, to be looked at. */
export const DOMAIN_ACTIONS = ["destroy", "restart", "preserve"] as const;
export type DomainAction = (typeof DOMAIN_ACTIONS)[number];

/** What a guest can be asked for through control/shutdown. */
export const SHUTDOWN_REQUESTS = ["poweroff", "reboot", "halt"] as const;
export type ShutdownRequest = (typeof SHUTDOWN_REQUESTS)[number];

/** How a domain ended. */
export type EndReason = "poweroff" | "reboot" | "suspend" | "crash" | "watchdog" | "soft-reset";

const REASONS: Readonly<Record<number, EndReason>> = {
  [SHUTDOWN_poweroff]: "poweroff",
  [SHUTDOWN_reboot]: "reboot",
  [SHUTDOWN_suspend]: "suspend",
  [SHUTDOWN_crash]: "crash",
  [SHUTDOWN_watchdog]: "watchdog",
  [SHUTDOWN_soft_reset]: "soft-reset",
};

/** The name of a SHUTDOWN_* number that the hypervisor has checked. */
export function endReason(shutdownReason: number): EndReason {
  return REASONS[shutdownReason];
}

/** The keys of a domain's configuration that choose the actions. */
export interface DomainPolicy {
  readonly onPoweroff?: DomainAction;
  readonly onReboot?: DomainAction;
  readonly onCrash?: DomainAction;
}

/** What is to be done with a domain that ended for this reason. A suspended domain waits for whoever asked it to suspend. */
export function actionFor(reason: EndReason, policy: DomainPolicy): DomainAction {
  switch (reason) {
    case "poweroff":
      return policy.onPoweroff ?? "destroy";
    case "reboot":
      return policy.onReboot ?? "restart";
    case "crash":
    case "watchdog":
      return policy.onCrash ?? "destroy";
    default:
      return "preserve";
  }
}
