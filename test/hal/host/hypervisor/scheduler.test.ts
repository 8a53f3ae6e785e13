import { beforeEach, describe, expect, it } from "vitest";
import { CONTROL_SPINLOCKS } from "../../../../hal/abi/control";
import { EINVAL, ENOENT, EPERM, ESRCH, ETIME } from "../../../../hal/abi/errno";
import {
  EVTCHNOP_alloc_unbound,
  EVTCHNOP_bind_interdomain,
  EVTCHNOP_bind_virq,
  EVTCHNOP_send,
} from "../../../../hal/abi/event_channel";
import {
  SCHEDOP_poll,
  SCHEDOP_remote_shutdown,
  SCHEDOP_shutdown,
  SHUTDOWN_crash,
  SHUTDOWN_poweroff,
} from "../../../../hal/abi/sched";
import {
  VCPUOP_down,
  VCPUOP_initialise,
  VCPUOP_is_up,
  VCPUOP_set_singleshot_timer,
  VCPUOP_up,
} from "../../../../hal/abi/vcpu";
import {
  __HYPERVISOR_sched_op,
  __HYPERVISOR_set_timer_op,
  __HYPERVISOR_vcpu_op,
  __HYPERVISOR_xen_version,
  DOMID_SELF,
  VCPU_INFO_TIME,
  VCPU_TIME_INFO_SYSTEM_TIME,
  VIRQ_TIMER,
} from "../../../../hal/abi/xen";
import { frameOffset } from "../../../../hal/host/hypervisor/frames";
import { GuestDeath } from "../../../../hal/host/hypervisor/guest-domain";
import { QUANTUM_NS_DEFAULT } from "../../../../hal/host/hypervisor/state";
import { vcpuInfo } from "../../../../hal/host/hypervisor/vcpus";
import { ARGS, FakeMachine, type FakeCpu } from "./fake-machine";

let machine: FakeMachine;

beforeEach(() => {
  machine = new FakeMachine();
  machine.add(0);
  machine.add(1);
  machine.add(2, { vcpus: 2 });
});

const setTimer = (cpu: FakeCpu, at: number) =>
  cpu.hypercall(__HYPERVISOR_set_timer_op, at | 0, Math.floor(at / 2 ** 32));

describe("order", () => {
  it("always runs the vCPU with the earliest clock, ties in order of becoming runnable", () => {
    const order: string[] = [];
    const spin = (name: string, ns: number) => (cpu: FakeCpu) => {
      order.push(`${name}@${cpu.clock - start}`);
      cpu.clock += ns;
      cpu.yield();
    };
    const start = 1000;
    machine.hv.runTo(start);
    for (let i = 0; i < 3; i++) machine.guests.get(2)!.scripts.push(spin("b", 100));
    machine.script(1, spin("a", 250));
    machine.guests.get(1)!.scripts.push(spin("a", 250));
    machine.hv.context.state.domains[2]!.vcpus[0].clock = start;
    machine.script(2, (cpu) => spin("b", 100)(cpu));
    machine.settle();
    expect(order).toEqual(["a@0", "b@0", "b@100", "b@200", "a@250", "b@300"]);
  });

  it("a slice may last until the earliest other candidate plus the quantum", () => {
    machine.hv.runTo(10_000);
    machine.script(1, () => undefined);
    machine.hv.context.state.domains[2]!.vcpus[0].clock = 10_500;
    machine.script(2, () => undefined);
    machine.hv.queue(20_000, "shutdown", 99, 0);
    const ends: number[] = [];
    machine.guests.get(1)!.scripts[0] = (cpu) => void ends.push(cpu.sliceEnd);
    machine.guests.get(2)!.scripts[0] = (cpu) => void ends.push(cpu.sliceEnd);
    machine.settle();
    expect(ends).toEqual([10_500 + QUANTUM_NS_DEFAULT, 20_000 + QUANTUM_NS_DEFAULT]);
  });

  it("an event that wakes somebody lowers the sender's slice end and wakes at the sender's time plus delivery", () => {
    const one = machine.run(1, (cpu) => {
      cpu.evtchn(EVTCHNOP_alloc_unbound, DOMID_SELF | (2 << 16), 0);
      return cpu.read32(ARGS + 4);
    });
    machine.run(2, (cpu) => cpu.evtchn(EVTCHNOP_bind_interdomain, 1, one, 0));
    machine.settle();
    machine.hv.runTo(1_000_000);
    const woken: number[] = [];
    const sent = machine.run(1, (cpu) => {
      const free = cpu.sliceEnd;
      cpu.clock += 500;
      cpu.evtchn(EVTCHNOP_send, one);
      expect(cpu.sliceEnd).toBeLessThan(free);
      expect(cpu.sliceEnd).toBe(cpu.clock + 1 + QUANTUM_NS_DEFAULT);
      return cpu.clock;
    });
    machine.guests.get(2)!.scripts.push((cpu) => void woken.push(cpu.clock));
    machine.settle();
    expect(woken).toEqual([sent + 1]);
  });

  it("the time record in shared_info is the clock at the entry", () => {
    machine.hv.runTo(5000);
    machine.run(1, (cpu) => {
      const time = vcpuInfo(cpu.domain, 0) + VCPU_INFO_TIME;
      expect(cpu.memory.u32[(time + VCPU_TIME_INFO_SYSTEM_TIME) >>> 2]).toBe(cpu.clock);
    });
  });
});

describe("timers", () => {
  beforeEach(() => {
    machine.run(2, (cpu) => cpu.evtchn(EVTCHNOP_bind_virq, VIRQ_TIMER, 0, 0));
    machine.settle();
  });

  const firesAt = (): number[] => {
    const fired: number[] = [];
    machine.guests.get(2)!.idle = (cpu) => {
      if (cpu.takeEvents().includes(3)) fired.push(cpu.clock);
      cpu.clock += 1;
    };
    machine.settle();
    return fired;
  };

  it("fires VIRQ_TIMER at its absolute time", () => {
    machine.run(2, (cpu) => expect(setTimer(cpu, 123_456)).toBe(0));
    expect(firesAt()).toEqual([123_456]);
  });

  it("beyond 2^32 ns too", () => {
    machine.run(2, (cpu) => setTimer(cpu, 7_000_000_000));
    expect(firesAt()).toEqual([7_000_000_000]);
  });

  it("a time that is over fires at once, 0 cancels", () => {
    machine.hv.runTo(50_000);
    const now = machine.run(2, (cpu) => (setTimer(cpu, 10), cpu.clock));
    expect(firesAt()).toEqual([now]);
    machine.run(2, (cpu) => {
      setTimer(cpu, 900_000);
      setTimer(cpu, 0);
    });
    expect(firesAt()).toEqual([]);
  });

  it("the newer form refuses a time that is over when asked to", () => {
    machine.hv.runTo(50_000);
    machine.run(2, (cpu) => {
      const set = (at: number, flags: number) => {
        cpu.args(at, 0, flags, 0);
        return cpu.hypercall(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, ARGS);
      };
      expect(set(10, 1)).toBe(-ETIME);
      expect(set(60_000, 1)).toBe(0);
    });
    expect(firesAt()).toEqual([60_000]);
  });

  it("a running vCPU is asked back by its own timer", () => {
    machine.hv.runTo(1_000_000);
    machine.run(2, (cpu) => {
      const deadline = cpu.clock + 5000;
      setTimer(cpu, deadline);
      expect(cpu.sliceEnd).toBe(deadline + QUANTUM_NS_DEFAULT);
    });
  });
});

describe("vCPUs", () => {
  it("are offline until initialised and brought up, and start at the caller's time", () => {
    const entered: number[] = [];
    machine.run(2, (cpu) => {
      const op = (command: number, id: number) => cpu.hypercall(__HYPERVISOR_vcpu_op, command, id, 0);
      expect(op(VCPUOP_is_up, 1)).toBe(0);
      expect(op(VCPUOP_up, 1)).toBe(-EINVAL);
      expect(op(VCPUOP_initialise, 1)).toBe(0);
      cpu.clock += 700;
      expect(op(VCPUOP_up, 1)).toBe(0);
      expect(op(VCPUOP_is_up, 1)).toBe(1);
      expect([op(VCPUOP_up, 2), op(VCPUOP_up, -1)]).toEqual([-ENOENT, -ENOENT]);
      machine.guests.get(2)!.scripts.push((second) => void entered.push(second.vcpu));
    });
    machine.settle();
    expect(entered).toEqual([1]);
    machine.run(2, (cpu) => {
      expect(cpu.hypercall(__HYPERVISOR_vcpu_op, VCPUOP_down, 1, 0)).toBe(0);
      expect(cpu.hypercall(__HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0)).toBe(0);
    });
  });

  it("poll: every port is checked; the vCPU wakes by a masked port or by the timeout", () => {
    const poll = (cpu: FakeCpu, port: number, timeout: number) => {
      cpu.args(ARGS + 64, 0, 1, 0, timeout, 0);
      cpu.write32(ARGS + 64, port);
      return cpu.hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, ARGS);
    };
    const port = machine.run(1, (cpu) => {
      for (let bad = 3; bad < 4096; bad += 41) expect(poll(cpu, bad, 1)).toBe(-EINVAL);
      for (const bad of [0, 4096, 0xffffffff]) expect(poll(cpu, bad, 1)).toBe(-EINVAL);
      cpu.evtchn(EVTCHNOP_alloc_unbound, DOMID_SELF | (2 << 16), 0);
      return cpu.read32(ARGS + 4);
    });
    machine.settle();
    const woken: number[] = [];
    machine.run(1, (cpu) => {
      cpu.mask(port);
      expect(poll(cpu, port, 400_000)).toBe(0);
    });
    machine.guests.get(1)!.scripts.push((cpu) => {
      woken.push(cpu.clock);
      cpu.mask(port);
      poll(cpu, port, 0);
    });
    machine.settle();
    expect(woken).toEqual([400_000]);
    machine.guests.get(1)!.scripts.push((cpu) => void woken.push(cpu.clock));
    machine.run(2, (cpu) => cpu.evtchn(EVTCHNOP_bind_interdomain, 1, port, 0));
    machine.run(2, (cpu) => cpu.evtchn(EVTCHNOP_send, 3));
    machine.settle();
    expect(woken.length).toBe(2);
  });
});

describe("the end of a domain", () => {
  it("SCHEDOP_shutdown stops it: the service is told, its hypercalls are refused, it is not entered again", () => {
    const told: [number, number, string | null][] = [];
    machine.hv.setServices({ shutdown: (...what) => told.push(what) });
    machine.run(1, (cpu) => {
      expect(cpu.hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, cpu.args(9))).toBe(-EINVAL);
      expect(cpu.hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, cpu.args(SHUTDOWN_poweroff))).toBe(0);
      expect(cpu.sliceEnd).toBeLessThanOrEqual(cpu.clock);
      expect(cpu.hypercall(__HYPERVISOR_xen_version, 0)).toBe(-ESRCH);
    });
    machine.settle();
    expect(told).toEqual([[1, SHUTDOWN_poweroff, null]]);
    expect(machine.hv.isDying(1)).toBe(true);
    expect(machine.hv.isIdle()).toBe(true);
  });

  it("remote shutdown is for the privileged", () => {
    const remote = (cpu: FakeCpu, domid: number) =>
      cpu.hypercall(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, cpu.args(domid, SHUTDOWN_crash));
    machine.run(1, (cpu) => expect(remote(cpu, 2)).toBe(-EPERM));
    machine.run(0, (cpu) => expect([remote(cpu, 99), remote(cpu, 2)]).toEqual([-ESRCH, 0]));
    expect(machine.hv.domain(2).state).toBe("shutdown");
  });

  it("a guest's death is a crash of that domain only, with its report", () => {
    machine.script(1, () => {
      throw new GuestDeath("panic", "Kernel panic - not syncing: test\n  at f");
    });
    machine.settle();
    expect(machine.hv.domain(1)).toMatchObject({ state: "shutdown", shutdownReason: SHUTDOWN_crash });
    expect(machine.hv.domain(1).report).toMatch(/^Kernel panic/);
    machine.run(2, (cpu) => expect(cpu.hypercall(__HYPERVISOR_xen_version, 0)).toBeGreaterThan(0));
  });

  it("our own fault in an engine is not the guest's death", () => {
    machine.script(1, () => {
      throw new TypeError("ours");
    });
    expect(() => machine.settle()).toThrow("ours");
  });

  it.each([
    ["is not a number", NaN],
    ["is infinite", Infinity],
    ["went back", 0],
    ["is absurd", 2 ** 60],
  ])("a clock that %s kills the domain, at the hypercall and at the return", (_name, clock) => {
    machine.hv.runTo(1000);
    machine.run(1, (cpu) => {
      cpu.clock = clock;
      expect(cpu.hypercall(__HYPERVISOR_xen_version, 0)).toBe(-ESRCH);
    });
    machine.script(2, (cpu) => void (cpu.clock = clock));
    machine.settle();
    for (const domid of [1, 2]) expect(machine.hv.domain(domid).report).toMatch(/clock/);
  });

  it("a vCPU that returns without progress, again and again, is a soft lockup", () => {
    machine.guests.get(1)!.idle = (cpu) => cpu.yield();
    machine.script(1, (cpu) => cpu.yield());
    machine.settle();
    expect(machine.hv.domain(1).report).toMatch(/^soft lockup/);
  });

  it("pauses count; a paused domain keeps its events for later and goes on at the time of the unpause", () => {
    machine.hv.pauseDomain(1);
    machine.hv.pauseDomain(1);
    const clocks: number[] = [];
    machine.script(1, (cpu) => void clocks.push(cpu.clock));
    machine.settle();
    machine.hv.runTo(70_000);
    machine.hv.unpauseDomain(1);
    expect(machine.hv.step()).toBe(false);
    machine.hv.unpauseDomain(1);
    machine.settle();
    expect(clocks).toEqual([70_000]);
    expect(() => machine.hv.unpauseDomain(1)).toThrow(RangeError);
  });
});

describe("the preemption hook", () => {
  it("is called before every hypercall and may run another domain, nested", () => {
    const order: string[] = [];
    machine.script(2, () => void order.push("nested"));
    machine.hv.setPreempt((domid) => {
      if (domid !== 1) return;
      const other = machine.hv.candidates().find((c) => c.kind === "vcpu" && c.domid === 2);
      if (other !== undefined) expect(machine.hv.nest(other)).toBe(true);
    });
    machine.hv.context.state.domains[2]!.vcpus[0].wakeAt = machine.hv.now + 500;
    machine.run(1, (cpu) => {
      order.push("before");
      cpu.hypercall(__HYPERVISOR_xen_version, 0);
      order.push("after");
    });
    expect(order).toEqual(["before", "nested", "after"]);
  });

  it("another vCPU of the same domain is nested only while the domain holds no spinlock", () => {
    const tried: boolean[] = [];
    machine.run(2, (cpu) => {
      cpu.hypercall(__HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, 0);
      cpu.hypercall(__HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0);
      const locks = (frameOffset(machine.hv.context, cpu.domain.controlFrame) >>> 2) + CONTROL_SPINLOCKS;
      const second = () => machine.hv.candidates().find((c) => c.kind === "vcpu" && c.vcpu === 1)!;
      cpu.memory.u32[locks] = 1;
      tried.push(machine.hv.nest(second()));
      cpu.memory.u32[locks] = 0;
      tried.push(machine.hv.nest(second()));
      expect(machine.hv.currentVcpu(2)).toBe(0);
    });
    expect(tried).toEqual([false, true]);
  });

  it("a domain that is destroyed while preempted goes when its last entry has returned", () => {
    machine.run(1, (cpu) => {
      machine.hv.destroyDomain(1);
      expect(cpu.hypercall(__HYPERVISOR_xen_version, 0)).toBe(-ESRCH);
      expect(machine.guests.get(1)!.disposed).toBe(0);
    });
    expect(machine.guests.get(1)!.disposed).toBe(1);
    expect(machine.hv.domains().map((d) => d.domid)).toEqual([0, 2]);
  });
});

it("the tie-break chooses among equals", () => {
  const order: number[] = [];
  machine.hv.runTo(10_000);
  for (const domid of [1, 2]) machine.script(domid, () => void order.push(domid));
  machine.hv.setTieBreak((all) => all.length - 1);
  machine.settle();
  expect(order).toEqual([2, 1]);
});
