import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { EINVAL, ENOSYS, ESRCH } from "../../../../hal/abi/errno";
import {
  __HYPERVISOR_arch_6,
  __HYPERVISOR_console_io,
  __HYPERVISOR_memory_op,
  __HYPERVISOR_xen_version,
  CONSOLEIO_write,
  DOMID_SELF,
} from "../../../../hal/abi/xen";
import { XENMEM_current_reservation, XENMEM_maximum_ram_page } from "../../../../hal/abi/memory";
import { frameOffset } from "../../../../hal/host/hypervisor/frames";
import { ARGS, FakeMachine } from "./fake-machine";

let machine: FakeMachine;

beforeEach(() => {
  machine = new FakeMachine();
  for (const domid of [0, 1, 2]) machine.add(domid);
});

/** A value that a guest in the same realm could pass. */
const wild = fc.oneof(
  fc.integer({ min: -1, max: 60 }),
  fc.integer(),
  fc.nat({ max: 64 * 4096 + 100 }),
  fc.double(),
  fc.constantFrom<unknown>(
    NaN,
    Infinity,
    -0,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    undefined,
    null,
    "8",
    true,
    {},
    [],
    5n,
    Symbol("x"),
  ),
  fc.constant({
    valueOf: () => {
      throw new Error("guest code ran in the hypervisor");
    },
  }),
);

const operation = fc.oneof(fc.constantFrom<unknown>(12, 15, 17, 18, 20, 24, 29, 32, 54, 55), wild);

type AnyHypercall = (domid: number, vcpu: number, op: unknown, a0: unknown, a1: unknown, a2: unknown) => number;

describe("garbage", () => {
  it("whatever is passed, the answer is an int32, and no byte outside of the caller's RAM and control page changes", () => {
    const call = machine.hv.hypercall.bind(machine.hv) as AnyHypercall;
    const fill = fc.uint8Array({ minLength: 256, maxLength: 256 });
    fc.assert(
      fc.property(fc.array(fc.tuple(operation, wild, wild, wild), { maxLength: 12 }), fill, (calls, bytes) => {
        if (machine.hv.domain(1).state !== "running") {
          machine.hv.destroyDomain(1);
          machine.settle();
          machine.add(1);
        }
        const before = machine.memory.u8.slice();
        machine.run(1, (cpu) => {
          const { ramBase, ramBytes, controlFrame } = cpu.domain;
          for (let at = 36 * 4096; at < ramBytes; at += 4096) cpu.memory.u8.set(bytes, ramBase + at);
          for (const [op, a0, a1, a2] of calls) {
            const result = call(1, 0, op, a0, a1, a2);
            expect(result | 0).toBe(result);
          }
          const after = machine.memory.u8.slice();
          const control = frameOffset(machine.hv.context, controlFrame);
          after.set(before.subarray(ramBase, ramBase + ramBytes), ramBase);
          after.set(before.subarray(control, control + 4096), control);
          expect(Buffer.compare(after, before)).toBe(0);
        });
        expect(machine.hv.isDying(0) || machine.hv.isDying(2)).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  it.each([NaN, 0.5, Infinity, 2 ** 32, -(2 ** 31) - 1, "1", null, undefined, {}])(
    "argument %s is -EINVAL",
    (value) => {
      const call = machine.hv.hypercall.bind(machine.hv) as AnyHypercall;
      machine.run(1, () => {
        expect(call(1, 0, __HYPERVISOR_memory_op, value, 0, 0)).toBe(-EINVAL);
        expect(call(1, 0, value, 0, 0, 0)).toBe(-ENOSYS);
      });
    },
  );

  it("unsigned and signed forms of a word are the same", () => {
    machine.run(1, (cpu) => {
      expect(cpu.hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 4, 0xfffffffc)).toBe(-14);
      expect(cpu.hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 4, -4)).toBe(-14);
    });
  });
});

it("only the vCPU that was entered may call", () => {
  expect(machine.hv.hypercall(1, 0, __HYPERVISOR_xen_version, 0, 0, 0)).toBe(-ESRCH);
  expect(machine.hv.hypercall(99, 0, __HYPERVISOR_xen_version, 0, 0, 0)).toBe(-ESRCH);
  machine.run(1, () => {
    expect(machine.hv.hypercall(1, 1, __HYPERVISOR_xen_version, 0, 0, 0)).toBe(-ESRCH);
    expect(machine.hv.hypercall(2, 0, __HYPERVISOR_xen_version, 0, 0, 0)).toBe(-ESRCH);
  });
});

it("every call costs and is counted; a preemption point does not", () => {
  machine.run(1, (cpu) => {
    const before = cpu.clock;
    cpu.hypercall(__HYPERVISOR_xen_version, 0);
    expect(cpu.clock).toBe(before + 1);
    expect(cpu.hypercall(__HYPERVISOR_arch_6)).toBe(0);
    expect(cpu.clock).toBe(before + 1);
    expect(cpu.domain.hypercalls[__HYPERVISOR_xen_version]).toBe(1);
    expect(cpu.domain.hypercalls[__HYPERVISOR_arch_6]).toBe(0);
  });
});

it("memory_op tells the machine's and the domain's pages", () => {
  machine.run(1, (cpu) => {
    expect(cpu.hypercall(__HYPERVISOR_memory_op, XENMEM_maximum_ram_page, 0)).toBe(1024);
    expect(cpu.hypercall(__HYPERVISOR_memory_op, XENMEM_current_reservation, cpu.args(DOMID_SELF))).toBe(64);
    expect(cpu.hypercall(__HYPERVISOR_memory_op, XENMEM_current_reservation, cpu.args(2))).toBe(-1);
  });
  machine.run(0, (cpu) => {
    expect(cpu.hypercall(__HYPERVISOR_memory_op, XENMEM_current_reservation, cpu.args(2))).toBe(64);
  });
});

it("console_io puts lines together, with the virtual time of their end", () => {
  const seen: string[] = [];
  machine.hv.setObserver({ logLine: (domid, at, text) => void seen.push(`${domid} ${at} ${text}`) });
  const times = machine.run(1, (cpu) => {
    const write = (text: string) => {
      const bytes = Buffer.from(text, "utf8");
      cpu.memory.u8.set(bytes, cpu.domain.ramBase + ARGS);
      expect(cpu.hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, bytes.length, ARGS)).toBe(0);
      return cpu.clock;
    };
    write("Linux ver");
    return [write("sion\nsecönd\nthi"), write("rd\n")];
  });
  expect(seen).toEqual([`1 ${times[0]} Linux version`, `1 ${times[0]} secönd`, `1 ${times[1]} third`]);
  expect(machine.hv.domain(1).log.map((line) => line.text)).toEqual(["Linux version", "secönd", "third"]);
});

it("console_io: a stack is kept and shown, and whatever its words and length, the trace is the same", () => {
  const hashes = ["<s>    at f (a.js:1:2)\n    at g (a.js:3:4)\n", "<s>f@a.js:1\n"].map((stack) => {
    const fresh = new FakeMachine();
    fresh.add(1);
    fresh.run(1, (cpu) => {
      const bytes = Buffer.from(stack, "utf8");
      cpu.memory.u8.set(bytes, cpu.domain.ramBase + ARGS);
      expect(cpu.hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, bytes.length, ARGS)).toBe(0);
    });
    const lines = stack.slice(3).trimEnd().split("\n");
    expect(fresh.hv.domain(1).log.map((line) => line.text)).toEqual(lines);
    return fresh.hv.trace.hash();
  });
  expect(hashes[0]).toBe(hashes[1]);
});
