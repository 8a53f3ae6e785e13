import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createPulse, pulseEnter, pulseLeave, PULSE_CALL } from "../../../../hal/host/hypervisor/pulse";
import { __HYPERVISOR_grant_table_op } from "../../../../hal/abi/xen";
import { type Hang, describeHang } from "../../../../hal/host/runner/hang";
import { Watchdog } from "../../../../hal/host/runner/watchdog";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A watchdog of 10 s over a pulse of the test's own; the process has a processor for the given part of the time. */
function world(busy = 1) {
  const pulse = createPulse();
  const hangs: Hang[] = [];
  let cpu = 0;
  const watchdog = new Watchdog(
    pulse,
    (hang) => hangs.push(hang),
    () => cpu,
  );
  const pass = (ms: number): void => {
    for (let i = 0; i < ms; i += 100) {
      cpu += 100 * busy;
      vi.advanceTimersByTime(100);
    }
  };
  watchdog.set(10);
  return { pulse, hangs, watchdog, pass };
}

it("a guest that does not return for the given time is reported once, with all that is known of it", () => {
  const { pulse, hangs, pass } = world();
  pulseEnter(pulse, 3, 1, 2_500_000);
  pass(9000);
  expect(hangs).toEqual([]);
  pass(30_000);
  expect(hangs).toEqual([{ domid: 3, vcpu: 1, call: -1, clock: 2_500_000, seconds: 10 }]);
});

it("a guest that is entered again and again has not hung", () => {
  const { pulse, hangs, pass } = world();
  for (let i = 0; i < 20; i++) {
    pulseEnter(pulse, 1, 0, i);
    pass(5000);
    pulseLeave(pulse);
  }
  expect(hangs).toEqual([]);
});

it("the host may take its time", () => {
  const { pulse, hangs, pass } = world();
  pulseEnter(pulse, 1, 0, 0);
  pulseLeave(pulse);
  pass(60_000);
  expect(hangs).toEqual([]);
});

it("a process that gets no processor has not hung; one that gets half of it has, a little later", () => {
  const starved = world(0.1);
  pulseEnter(starved.pulse, 1, 0, 0);
  starved.pass(40_000);
  expect(starved.hangs).toEqual([]);
  starved.pass(20_000);
  expect(starved.hangs).toHaveLength(1);
});

it("0 seconds: it never looks", () => {
  const { pulse, hangs, watchdog, pass } = world();
  watchdog.set(0);
  pulseEnter(pulse, 1, 0, 0);
  pass(60_000);
  expect(hangs).toEqual([]);
});

it("its words name the guest, the vCPU, what it was doing and the virtual time", () => {
  const { pulse, hangs, pass } = world();
  pulseEnter(pulse, 3, 1, 2_500_000);
  pulse[PULSE_CALL] = __HYPERVISOR_grant_table_op;
  pass(20_000);
  expect(describeHang(hangs[0], "web")).toMatch(
    /^watchdog: web \(vCPU 1\) has run for 10 s without a pause, in hypercall grant_table_op, since virtual time 0\.002500 s;/,
  );
  expect(describeHang({ ...hangs[0], call: -1 }, "web")).toContain("in its own code");
});
