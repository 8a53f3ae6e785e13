import { beforeEach, describe, expect, test } from "vitest";
import { local_irq_disable } from "xenolith/linux/interrupt";
import {
  clear_evtchn,
  evtchn_2l_bind_to_cpu,
  evtchn_2l_clear_upcall,
  evtchn_2l_handle_events,
  evtchn_2l_init,
  evtchn_2l_upcall_pending,
  mask_evtchn,
  test_evtchn,
  unmask_evtchn,
} from "../../../../drivers/xen/events/events_2l";
import { hypercall_init } from "../../../../drivers/xen/hypercall";
import { bootFake } from "../boot-fake";
import type { FakeXen } from "../fake-xen";

let fake: FakeXen;

beforeEach(() => {
  fake = bootFake(2);
  local_irq_disable(); // as in an upcall; there is no handler to take events
  hypercall_init();
  evtchn_2l_init();
});

/** Serves what is pending on vCPU 0: the ports in order. */
function serve(react: (port: number) => void = () => {}): number[] {
  const served: number[] = [];
  evtchn_2l_clear_upcall(0);
  evtchn_2l_handle_events(0, (port) => {
    clear_evtchn(port);
    served.push(port);
    react(port);
  });
  return served;
}

function bindAndUnmask(...ports: number[]): void {
  for (const port of ports) {
    evtchn_2l_bind_to_cpu(port, 0, 0);
    unmask_evtchn(port, 0);
  }
}

test("at start every port is masked", () => {
  for (const port of [0, 1, 63, 64, 4095]) expect(fake.isMasked(port)).toBe(true);
});

describe("the scan", () => {
  test("finds ports in every word of both levels", () => {
    const ports = [1, 31, 32, 63, 64, 2047, 2048, 2111, 4095];
    bindAndUnmask(...ports);
    for (const port of ports) fake.raise(port);
    expect(serve()).toEqual(ports);
    expect(ports.some((port) => fake.isPending(port))).toBe(false);
  });

  test("begins after the port that was served last, so that a loud one does not starve the others", () => {
    bindAndUnmask(3, 5, 70, 71);
    fake.raise(5);
    serve();
    for (const port of [3, 5, 70, 71]) fake.raise(port);
    expect(serve()).toEqual([70, 71, 3, 5]);
  });

  test("begins within a word and comes back to its lower part at the end", () => {
    bindAndUnmask(64, 65, 66, 200);
    fake.raise(65);
    serve();
    for (const port of [64, 65, 66, 200]) fake.raise(port);
    expect(serve()).toEqual([66, 200, 64, 65]);
  });

  test("a port that a handler masked is not served", () => {
    bindAndUnmask(10, 11, 12);
    for (const port of [10, 11, 12]) fake.raise(port);
    expect(serve((port) => port === 10 && mask_evtchn(11))).toEqual([10, 12]);
  });

  test("a port that becomes pending behind the scan raises the upcall again", () => {
    bindAndUnmask(10, 40);
    fake.raise(40);
    expect(serve((port) => port === 40 && fake.raise(10))).toEqual([40]);
    expect(evtchn_2l_upcall_pending(0)).toBe(true);
    expect(serve()).toEqual([10]);
  });

  test("another vCPU's port is left alone", () => {
    bindAndUnmask(10, 11);
    evtchn_2l_bind_to_cpu(11, 1, 0);
    fake.raise(10);
    fake.raise(11, 0);
    expect(serve()).toEqual([10]);
    expect(test_evtchn(11)).toBe(true);
  });
});

describe("unmask", () => {
  test("an event that came while the port was masked is delivered by raising our own upcall", () => {
    evtchn_2l_bind_to_cpu(9, 0, 0);
    fake.raise(9);
    expect(evtchn_2l_upcall_pending(0)).toBe(false);
    unmask_evtchn(9, 0);
    expect(evtchn_2l_upcall_pending(0)).toBe(true);
    expect(fake.calls).toEqual([]);
    expect(serve()).toEqual([9]);
  });

  test("without an event nothing is raised", () => {
    evtchn_2l_bind_to_cpu(9, 0, 0);
    unmask_evtchn(9, 0);
    expect(evtchn_2l_upcall_pending(0)).toBe(false);
  });

  test("another vCPU's port is unmasked by the hypervisor", () => {
    evtchn_2l_bind_to_cpu(9, 1, 0);
    fake.boundVcpu.set(9, 1);
    fake.raise(9);
    unmask_evtchn(9, 1);
    expect(fake.calls).toHaveLength(1);
    expect(evtchn_2l_upcall_pending(1)).toBe(true);
  });
});
