import { beforeEach, describe, expect, it } from "vitest";
import { EEXIST, EFAULT, EINVAL, ENOENT, ENOSPC, ENOSYS, EPERM, ESRCH } from "../../../../hal/abi/errno";
import {
  EVTCHNOP_alloc_unbound,
  EVTCHNOP_bind_interdomain,
  EVTCHNOP_bind_ipi,
  EVTCHNOP_bind_pirq,
  EVTCHNOP_bind_vcpu,
  EVTCHNOP_bind_virq,
  EVTCHNOP_close,
  EVTCHNOP_expand_array,
  EVTCHNOP_init_control,
  EVTCHNOP_reset,
  EVTCHNOP_send,
  EVTCHNOP_set_priority,
  EVTCHNOP_status,
  EVTCHNOP_unmask,
  EVTCHNSTAT_closed,
  EVTCHNSTAT_interdomain,
  EVTCHNSTAT_ipi,
  EVTCHNSTAT_unbound,
  EVTCHNSTAT_virq,
} from "../../../../hal/abi/event_channel";
import {
  __HYPERVISOR_event_channel_op,
  DOMID_SELF,
  DOMID_XEN,
  VCPU_INFO_EVTCHN_UPCALL_PENDING,
  VIRQ_CONSOLE,
  VIRQ_TIMER,
} from "../../../../hal/abi/xen";
import { vcpuInfo } from "../../../../hal/host/hypervisor/vcpus";
import { ARGS, FakeMachine, type FakeCpu } from "./fake-machine";

let machine: FakeMachine;

beforeEach(() => {
  machine = new FakeMachine();
  machine.add(0);
  machine.add(1);
  machine.add(2, { vcpus: 2 });
});

const both = (domid: number, remote: number) => (domid | (remote << 16)) >>> 0;

function allocate(cpu: FakeCpu, remote: number): number {
  expect(cpu.evtchn(EVTCHNOP_alloc_unbound, both(DOMID_SELF, remote), 0)).toBe(0);
  return cpu.read32(ARGS + 4);
}

function bind(cpu: FakeCpu, remote: number, port: number): number {
  const result = cpu.evtchn(EVTCHNOP_bind_interdomain, remote, port, 0);
  return result === 0 ? cpu.read32(ARGS + 8) : result;
}

function status(cpu: FakeCpu, port: number, domid = DOMID_SELF) {
  const result = cpu.evtchn(EVTCHNOP_status, domid, port, 0, 0, 0, 0);
  const read = (offset: number) => cpu.read32(ARGS + offset);
  return { result, status: read(8), vcpu: read(12), remote: cpu.read16(ARGS + 16), port: read(20) };
}

/** Connects a port of domain 1 with one of domain 2. */
function connect(): { one: number; two: number } {
  const one = machine.run(1, (cpu) => allocate(cpu, 2));
  const two = machine.run(2, (cpu) => bind(cpu, 1, one));
  return { one, two };
}

describe("the life of a port", () => {
  it("ports are given out from the lowest free, never 0; 1 and 2 are the store and the console", () => {
    machine.run(1, (cpu) => {
      expect([allocate(cpu, 2), allocate(cpu, 2), allocate(cpu, 2)]).toEqual([3, 4, 5]);
      expect(cpu.evtchn(EVTCHNOP_close, 4)).toBe(0);
      expect(allocate(cpu, 2)).toBe(4);
      expect(status(cpu, 1)).toMatchObject({ status: EVTCHNSTAT_interdomain, remote: 0 });
    });
  });

  it("alloc_unbound, bind_interdomain, status of both ends, first event at the binder", () => {
    const { one, two } = connect();
    machine.run(1, (cpu) => {
      expect(status(cpu, one)).toMatchObject({ status: EVTCHNSTAT_interdomain, remote: 2, port: two });
      expect(cpu.pending(one)).toBe(false);
    });
    machine.run(2, (cpu) => expect(status(cpu, two)).toMatchObject({ remote: 1, port: one }));
  });

  it("the binder's port is pending at once", () => {
    const one = machine.run(1, (cpu) => allocate(cpu, 2));
    machine.run(2, (cpu) => expect(cpu.pending(bind(cpu, 1, one))).toBe(true));
  });

  it("closing one end makes the other unbound again, reserved for the closer, who may bind again", () => {
    const { one, two } = connect();
    machine.run(2, (cpu) => expect(cpu.evtchn(EVTCHNOP_close, two)).toBe(0));
    machine.run(1, (cpu) => {
      expect(status(cpu, one)).toMatchObject({ status: EVTCHNSTAT_unbound, remote: 2 });
      expect(cpu.evtchn(EVTCHNOP_send, one)).toBe(0);
    });
    machine.run(2, (cpu) => expect(bind(cpu, 1, one)).toBe(two));
  });

  it.each([
    ["an unknown domain", 99, 3, -ESRCH],
    ["a port that is not in use", 1, 9, -EINVAL],
    ["a port beyond the table", 1, 0xffffffff, -EINVAL],
    ["port 0", 1, 0, -EINVAL],
    ["a port reserved for somebody else", 1, 3, -EINVAL],
    ["a port that is no unbound one", 1, 1, -EINVAL],
  ])("bind_interdomain: %s", (_name, remote, port, error) => {
    machine.run(1, (cpu) => allocate(cpu, 0));
    machine.run(2, (cpu) => expect(bind(cpu, remote, port)).toBe(error));
    expect(machine.hv.ledger().domains.find((d) => d.domid === 2)?.ports).toBe(2);
  });

  it("a domain may be connected to itself", () => {
    machine.run(1, (cpu) => {
      const left = allocate(cpu, DOMID_SELF);
      const right = bind(cpu, DOMID_SELF, left);
      cpu.takeEvents();
      cpu.evtchn(EVTCHNOP_send, left);
      expect(cpu.takeEvents()).toEqual([right]);
      cpu.evtchn(EVTCHNOP_close, left);
      expect(status(cpu, right).status).toBe(EVTCHNSTAT_unbound);
    });
  });

  it("closing a free port, port 0 or one beyond the table is -EINVAL", () => {
    machine.run(1, (cpu) => {
      for (const port of [0, 9, 4095, 4096, 0xffffffff]) expect(cpu.evtchn(EVTCHNOP_close, port)).toBe(-EINVAL);
    });
  });

  it("XSA-317, XSA-496: 4095 ports, then -ENOSPC for every kind; nothing is undone that was not done", () => {
    machine.run(1, (cpu) => {
      let count = 0;
      while (cpu.evtchn(EVTCHNOP_alloc_unbound, both(DOMID_SELF, 2), 0) === 0) count++;
      expect(count).toBe(4095 - 2);
      expect(cpu.evtchn(EVTCHNOP_alloc_unbound, both(DOMID_SELF, 2), 0)).toBe(-ENOSPC);
      expect(cpu.evtchn(EVTCHNOP_bind_virq, VIRQ_TIMER, 0, 0)).toBe(-ENOSPC);
      expect(cpu.evtchn(EVTCHNOP_bind_ipi, 0, 0)).toBe(-ENOSPC);
      expect(cpu.evtchn(EVTCHNOP_bind_interdomain, 2, 1, 0)).toBe(-ENOSPC);
      expect(status(cpu, 4095).status).toBe(EVTCHNSTAT_unbound);
      cpu.evtchn(EVTCHNOP_close, 4000);
      expect(cpu.evtchn(EVTCHNOP_bind_virq, VIRQ_TIMER, 0, 0)).toBe(0);
      expect(cpu.read32(ARGS + 8)).toBe(4000);
    });
  });

  it("reset closes all own ports; others' only for the privileged", () => {
    const { one } = connect();
    machine.run(2, (cpu) => {
      expect(cpu.evtchn(EVTCHNOP_reset, 1)).toBe(-EPERM);
      expect(cpu.evtchn(EVTCHNOP_reset, 99)).toBe(-ESRCH);
      expect(cpu.evtchn(EVTCHNOP_reset, DOMID_SELF)).toBe(0);
    });
    expect(machine.hv.ledger().domains.find((d) => d.domid === 2)?.ports).toBe(0);
    machine.run(1, (cpu) => expect(status(cpu, one).status).toBe(EVTCHNSTAT_unbound));
    machine.run(0, (cpu) => expect(cpu.evtchn(EVTCHNOP_reset, 1)).toBe(0));
  });
});

describe("virtual interrupts and IPIs", () => {
  it.each([
    ["number beyond the last", [24, 0], -EINVAL],
    ["a global one on another vCPU", [VIRQ_CONSOLE, 1], -EINVAL],
    ["no such vCPU", [VIRQ_TIMER, 2], -ENOENT],
    ["vCPU 2^32-1", [VIRQ_TIMER, 0xffffffff], -ENOENT],
  ])("bind_virq: %s", (_name, words, error) => {
    machine.run(2, (cpu) => expect(cpu.evtchn(EVTCHNOP_bind_virq, words[0], words[1], 0)).toBe(error));
  });

  it("a virtual interrupt is bound once per vCPU", () => {
    machine.run(2, (cpu) => {
      expect(cpu.evtchn(EVTCHNOP_bind_virq, VIRQ_TIMER, 0, 0)).toBe(0);
      expect(cpu.evtchn(EVTCHNOP_bind_virq, VIRQ_TIMER, 0, 0)).toBe(-EEXIST);
      expect(cpu.evtchn(EVTCHNOP_bind_virq, VIRQ_TIMER, 1, 0)).toBe(0);
      expect(status(cpu, 4)).toMatchObject({ status: EVTCHNSTAT_virq, vcpu: 1, remote: VIRQ_TIMER });
      expect(cpu.evtchn(EVTCHNOP_send, 4)).toBe(-EINVAL);
    });
  });

  it("an IPI reaches its own vCPU", () => {
    machine.run(2, (cpu) => {
      expect(cpu.evtchn(EVTCHNOP_bind_ipi, 2, 0)).toBe(-ENOENT);
      expect(cpu.evtchn(EVTCHNOP_bind_ipi, 1, 0)).toBe(0);
      expect(status(cpu, 3)).toMatchObject({ status: EVTCHNSTAT_ipi, vcpu: 1 });
      expect(cpu.evtchn(EVTCHNOP_send, 3)).toBe(0);
      const { u8 } = cpu.memory;
      expect(u8[vcpuInfo(cpu.domain, 1) + VCPU_INFO_EVTCHN_UPCALL_PENDING]).toBe(1);
      expect(u8[vcpuInfo(cpu.domain, 0) + VCPU_INFO_EVTCHN_UPCALL_PENDING]).toBe(0);
    });
  });

  it("bind_vcpu moves what may be moved", () => {
    const { two } = connect();
    machine.run(2, (cpu) => {
      cpu.evtchn(EVTCHNOP_bind_ipi, 0, 0);
      cpu.evtchn(EVTCHNOP_bind_virq, VIRQ_TIMER, 0, 0);
      cpu.evtchn(EVTCHNOP_bind_virq, VIRQ_CONSOLE, 0, 0);
      const moves: [number, number, number][] = [
        [two, 1, 0],
        [two, 2, -ENOENT],
        [two + 1, 1, -EINVAL],
        [two + 2, 1, -EINVAL],
        [two + 3, 1, 0],
        [77, 1, -EINVAL],
      ];
      for (const [port, vcpu, result] of moves) expect(cpu.evtchn(EVTCHNOP_bind_vcpu, port, vcpu)).toBe(result);
      expect(status(cpu, two).vcpu).toBe(1);
    });
  });
});

describe("delivery", () => {
  it("a masked port becomes pending without an upcall; unmask delivers it", () => {
    const { one, two } = connect();
    machine.settle();
    const upcalls = () => machine.hv.domain(2).counters.upcalls;
    machine.run(2, (cpu) => {
      cpu.takeEvents();
      cpu.mask(two);
    });
    const before = upcalls();
    machine.run(1, (cpu) => expect(cpu.evtchn(EVTCHNOP_send, one)).toBe(0));
    expect(upcalls()).toBe(before);
    expect(machine.hv.domain(2).vcpus[0].state).toBe("blocked");
    machine.run(2, (cpu) => {
      expect(cpu.pending(two)).toBe(true);
      expect(cpu.evtchn(EVTCHNOP_unmask, two)).toBe(0);
    });
    expect(upcalls()).toBe(before + 1);
  });

  it("sends while pending are one event, and the upcall comes on the first edge only", () => {
    const { one } = connect();
    machine.settle();
    const before = machine.hv.domain(2).counters.upcalls;
    machine.run(1, (cpu) => {
      for (let i = 0; i < 5; i++) cpu.evtchn(EVTCHNOP_send, one);
    });
    expect(machine.hv.domain(2).counters.upcalls).toBe(before + 1);
  });

  it("two ports of different words are two selector bits and one upcall", () => {
    const ports = machine.run(1, (cpu) => Array.from({ length: 100 }, () => allocate(cpu, 2)));
    machine.run(2, (cpu) => ports.forEach((port) => bind(cpu, 1, port)));
    machine.settle();
    const before = machine.hv.domain(2).counters.upcalls;
    machine.run(1, (cpu) => {
      cpu.evtchn(EVTCHNOP_send, ports[0]);
      cpu.evtchn(EVTCHNOP_send, ports[99]);
    });
    expect(machine.hv.domain(2).counters.upcalls).toBe(before + 1);
    machine.run(2, (cpu) => expect(cpu.takeEvents()).toEqual([ports[0], ports[99]]));
  });

  it("send and unmask of a port that is not in use are -EINVAL", () => {
    machine.run(1, (cpu) => {
      for (const port of [0, 9, 4096, 0xffffffff]) {
        expect(cpu.evtchn(EVTCHNOP_send, port)).toBe(-EINVAL);
        expect(cpu.evtchn(EVTCHNOP_unmask, port)).toBe(-EINVAL);
      }
    });
  });

  it("the store and console ports call their services, a little later", () => {
    const calls: [string, number, number][] = [];
    machine.hv.setServices({
      store: (domid, at) => calls.push(["store", domid, at]),
      console: (domid, at) => calls.push(["console", domid, at]),
    });
    const sent = machine.run(1, (cpu) => {
      cpu.evtchn(EVTCHNOP_send, 1);
      const at = cpu.clock;
      cpu.evtchn(EVTCHNOP_send, 2);
      return at;
    });
    machine.settle();
    expect(calls).toEqual([
      ["store", 1, sent + 1],
      ["console", 1, sent + 3],
    ]);
  });

  it("a service's notification wakes the domain; none to a closed port", () => {
    machine.hv.notifyStore(1, machine.hv.now);
    expect(machine.hv.domain(1).vcpus[0].state).toBe("runnable");
    machine.settle();
    machine.run(1, (cpu) => cpu.evtchn(EVTCHNOP_close, 1));
    machine.settle();
    machine.hv.notifyStore(1, machine.hv.now);
    expect(machine.hv.domain(1).vcpus[0].state).toBe("blocked");
  });
});

describe("arguments", () => {
  it("status: own ports, others for the privileged, closed ones, bad ones", () => {
    const { two } = connect();
    machine.run(1, (cpu) => {
      expect(status(cpu, two, 2).result).toBe(-EPERM);
      expect(status(cpu, two, 99).result).toBe(-ESRCH);
      expect(status(cpu, 4000)).toMatchObject({ result: 0, status: EVTCHNSTAT_closed });
      expect(status(cpu, 4096).result).toBe(-EINVAL);
      expect(status(cpu, 0).result).toBe(-EINVAL);
    });
    machine.run(0, (cpu) => expect(status(cpu, two, 2).status).toBe(EVTCHNSTAT_interdomain));
  });

  it("alloc_unbound for another domain is for the privileged; the remote need not exist", () => {
    machine.run(1, (cpu) => {
      expect(cpu.evtchn(EVTCHNOP_alloc_unbound, both(2, 1), 0)).toBe(-EPERM);
      expect(cpu.evtchn(EVTCHNOP_alloc_unbound, both(99, 1), 0)).toBe(-ESRCH);
      expect(cpu.evtchn(EVTCHNOP_alloc_unbound, both(DOMID_SELF, DOMID_XEN), 0)).toBe(0);
    });
    machine.run(0, (cpu) => expect(cpu.evtchn(EVTCHNOP_alloc_unbound, both(2, 1), 0)).toBe(0));
  });

  it("physical interrupts and FIFO channels are not offered", () => {
    machine.run(1, (cpu) => {
      const commands = [
        EVTCHNOP_bind_pirq,
        EVTCHNOP_init_control,
        EVTCHNOP_expand_array,
        EVTCHNOP_set_priority,
        14,
        -1,
      ];
      for (const command of commands) expect(cpu.evtchn(command, 0)).toBe(-ENOSYS);
    });
  });

  it("an argument beyond the RAM is -EFAULT", () => {
    machine.run(1, (cpu) => {
      const end = cpu.domain.ramBytes;
      for (const address of [end, end - 4, -4, ARGS + 1, 0x7fffffff]) {
        expect(cpu.hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, address)).toBe(-EFAULT);
      }
    });
  });
});
