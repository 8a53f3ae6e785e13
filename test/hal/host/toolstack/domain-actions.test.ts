import { expect, it } from "vitest";
import { SHUTDOWN_MAX } from "../../../../hal/abi/sched";
import { type EndReason, actionFor, endReason } from "../../../../hal/host/toolstack/domain-actions";

const reasons = Array.from({ length: SHUTDOWN_MAX + 1 }, (_, reason) => endReason(reason));

it("every reason that the hypervisor lets through has a name of its own", () => {
  expect(new Set(reasons).size).toBe(SHUTDOWN_MAX + 1);
  expect(reasons).not.toContain(undefined);
});

it("what nobody chose is xl's default", () => {
  expect(reasons.map((reason) => `${reason} ${actionFor(reason, {})}`)).toEqual([
    "poweroff destroy",
    "reboot restart",
    "suspend preserve",
    "crash destroy",
    "watchdog destroy",
    "soft-reset preserve",
  ]);
});

it.each<[EndReason, string]>([
  ["poweroff", "onPoweroff"],
  ["reboot", "onReboot"],
  ["crash", "onCrash"],
  ["watchdog", "onCrash"],
])("%s is %s's, and nobody else's", (reason, key) => {
  for (const action of ["destroy", "restart", "preserve"] as const) {
    expect(actionFor(reason, { [key]: action })).toBe(action);
    for (const other of reasons.filter((candidate) => candidate !== reason && candidate !== "watchdog")) {
      if (reason === "watchdog" && other === "crash") continue;
      expect(actionFor(other, { [key]: action }), other).toBe(actionFor(other, {}));
    }
  }
});
