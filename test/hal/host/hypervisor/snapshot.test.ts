import { describe, expect, it } from "vitest";
import {
  EVTCHNOP_alloc_unbound,
  EVTCHNOP_bind_interdomain,
  EVTCHNOP_bind_virq,
  EVTCHNOP_send,
} from "../../../../hal/abi/event_channel";
import { GNTMAP_host_map } from "../../../../hal/abi/grant_table";
import { __HYPERVISOR_set_timer_op, DOMID_SELF, VIRQ_TIMER } from "../../../../hal/abi/xen";
import { costTable } from "../../../../hal/host/hypervisor/costs";
import { createPlainMemory, FRAME_SIZE } from "../../../../hal/host/hypervisor/memory";
import { traceLines } from "../../../../hal/host/trace/decode";
import { ARGS, FakeMachine, type FakeCpu } from "./fake-machine";

/** Bytes of own RAM in which a guest keeps its variables, so that a copy of the memory is a copy of the guest. */
const VARIABLES = 45 * FRAME_SIZE;

/** Two guests that map, unmap, send, set timers and draw random numbers for ever, all from their memory. */
function chatter(machine: FakeMachine): void {
  for (const domid of [1, 2]) {
    machine.guests.get(domid)!.idle = (cpu) => {
      cpu.takeEvents();
      const round = cpu.read32(VARIABLES) + 1;
      cpu.write32(VARIABLES, round);
      cpu.clock += 100 + machine.hv.randomBelow(`guest ${domid}`, 900);
      if (domid === 2) {
        const { handle } = cpu.map(1, 8 + (round % 4), GNTMAP_host_map, round % 3);
        if (round % 7 !== 0) cpu.unmap(handle, cpu.hostAddress(round % 3));
        else cpu.unmap(handle, cpu.hostAddress(round % 3), 0);
      }
      cpu.evtchn(EVTCHNOP_send, cpu.read32(VARIABLES + 4));
      cpu.hypercall(__HYPERVISOR_set_timer_op, cpu.clock + 3000, 0);
    };
  }
}

function boot(seed = "one"): FakeMachine {
  const machine = new FakeMachine({ seed, frames: 300, costs: costTable("xen") });
  for (const domid of [0, 1, 2]) machine.add(domid);
  const one = machine.run(1, (cpu) => {
    for (let ref = 8; ref < 12; ref++) cpu.grant(ref, 2, 40 + ref);
    cpu.evtchn(EVTCHNOP_bind_virq, VIRQ_TIMER, 0, 0);
    cpu.evtchn(EVTCHNOP_alloc_unbound, DOMID_SELF | (2 << 16), 0);
    cpu.write32(VARIABLES + 4, cpu.read32(ARGS + 4));
    return cpu.read32(ARGS + 4);
  });
  machine.run(2, (cpu: FakeCpu) => {
    cpu.evtchn(EVTCHNOP_bind_virq, VIRQ_TIMER, 0, 0);
    cpu.evtchn(EVTCHNOP_bind_interdomain, 1, one, 0);
    cpu.write32(VARIABLES + 4, cpu.read32(ARGS + 8));
  });
  chatter(machine);
  return machine;
}

function steps(machine: FakeMachine, count: number): string {
  for (let i = 0; i < count; i++) expect(machine.hv.step()).toBe(true);
  return machine.hv.trace.hash();
}

describe("determinism", () => {
  it("equal seeds give equal traces, another seed another one", () => {
    const hash = steps(boot(), 1000);
    expect(steps(boot(), 1000)).toBe(hash);
    expect(steps(boot("two"), 1000)).not.toBe(hash);
  });

  it("the trace says what differs", () => {
    const [one, two] = ["one", "two"].map((seed) => {
      const machine = boot(seed);
      steps(machine, 50);
      return traceLines(machine.hv.trace.words());
    });
    const first = one.findIndex((line, index) => line !== two[index]);
    expect(first).toBeGreaterThan(10);
    expect(one[first]).toMatch(/^\d+\.\d+us|hypercall/);
  });
});

describe("the state", () => {
  it("is plain data: a structuredClone and a copy of the memory go on as the original does", () => {
    const machine = boot();
    steps(machine, 500);
    const memory = createPlainMemory(300, machine.memory.base);
    memory.u8.set(machine.memory.u8);
    const copy = new FakeMachine({ memory, state: structuredClone(machine.hv.state) });
    for (const domid of [0, 1, 2]) {
      const guest = machine.guests.get(domid)!;
      copy.guests.set(domid, guest);
      copy.hv.reattach(
        domid,
        new (guest.constructor as never as new (m: FakeMachine, d: number) => typeof guest)(copy, domid),
      );
      copy.guests.set(domid, copy.hv.context.guests.get(domid) as typeof guest);
    }
    chatter(copy);
    const expected = steps(machine, 800);
    expect(steps(copy, 800)).toBe(expected);
    expect(Buffer.compare(copy.memory.u8, machine.memory.u8)).toBe(0);
    expect(structuredClone(copy.hv.state)).toEqual(structuredClone(machine.hv.state));
  });

  it("restore goes back: the same future again, and another one after other input", () => {
    const machine = boot();
    steps(machine, 200);
    const state = structuredClone(machine.hv.state);
    const bytes = machine.memory.u8.slice();
    const again = (input?: string) => {
      machine.memory.u8.set(bytes);
      machine.hv.restore(structuredClone(state));
      if (input !== undefined) machine.hv.input("key", input);
      return steps(machine, 800);
    };
    const hash = again();
    expect(again()).toBe(hash);
    expect(again("x")).not.toBe(hash);
    expect(machine.hv.state.inputs).toEqual([{ number: 1, at: state.now, kind: "key", data: "x" }]);
  });
});
