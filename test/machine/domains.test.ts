import { expect, it } from "vitest";
import { type Machine, MachineError, UserError } from "xenolith";
import { onEveryEngine, ramBytes, searchLog, settle, verifyDisk } from "xenolith/kit";

/** What dom0 holds of others, and what of the machine is nobody's. */
function rest(machine: Machine): unknown {
  const { framesOrphaned, diskRequestsInFlight, domains } = machine.ledger();
  const { mappings, ports, framesPinned } = domains[0];
  return { framesOrphaned, diskRequestsInFlight, mappings, ports, framesPinned };
}

/** Starts the workload and steps until `enough` says that it is well under way. */
function startIo(machine: Machine, domain: string, enough: (machine: Machine) => boolean): void {
  const execution = machine.start(domain, "verify /dev/xvda blocks=64 depth=32 seed=3");
  const reached = machine.runWhile(() => !enough(machine), 5e9);
  expect({ reached, status: execution.status }).toEqual({ reached: true, status: null });
}

onEveryEngine("destroy", ({ boot, expectChange }) => {
  it("leaves dom0 as it was before the guest had a disk", async () => {
    const machine = await boot({ disks: [] });
    const before = rest(machine);
    machine.attachDisk("domU", "ram:1M,raw,xvda,w");
    machine.waitForDisks();
    expect(verifyDisk(machine, { blocks: 16 }).verified).toBe(true);
    const free = machine.ledger().framesFree;
    const { frames } = machine.ledger().domains[1];
    machine.destroy("domU");
    settle(machine);
    expect(rest(machine)).toEqual(before);
    // Its RAM, and its control page.
    expect(machine.ledger().framesFree).toBe(free + frames + 1);
    expect(machine.domainNames()).toEqual(["dom0"]);
    for (const path of ["/local/domain/1", "/local/domain/0/backend/vbd/1/51712", "/libxl/1/device/vbd/51712"]) {
      expect(machine.xenstore.exists(path), path).toBe(false);
    }
    const watched = machine.xenstored.state.watches.map(({ path }) => path);
    expect(watched.filter((path) => /domain\/1\/|vbd\/1\//.test(path))).toEqual([]);
    expect(machine.run("dom0", "rmmod xen-blkback")).toEqual({ status: 0, output: "" });
    expect(() => machine.run("domU", "lsblk")).toThrow(UserError);
    expectChange(machine);
  });

  it("leaves dom0 clean when requests were in flight, and the host's disk whole", async () => {
    const machine = await boot({ disks: [] });
    const before = rest(machine);
    machine.attachDisk("domU", "ram:1M,raw,xvda,w");
    machine.waitForDisks();
    startIo(machine, "domU", () => machine.ledger().diskRequestsInFlight > 4);
    const mapped = machine.ledger().domains[0].mappings;
    expect(mapped, "ring and data pages that dom0 has mapped").toBeGreaterThan(4);
    machine.destroy("domU");
    settle(machine);
    expect(rest(machine)).toEqual(before);
    expectChange(machine);
  });

  it("does not disturb another guest, and a new guest takes the place of the old one", async () => {
    const guests = ["one", "two"].map((name) => ({ name, disks: ["ram:1M,raw,xvda,w"] }));
    const machine = await boot({ guests });
    startIo(machine, "one", () => machine.ledger().diskRequestsInFlight > 0);
    machine.destroy("one");
    expect(verifyDisk(machine, { domain: "two", blocks: 16 }).verified).toBe(true);
    settle(machine);
    expect(machine.ledger().framesOrphaned, "frames of the old one that dom0 still holds").toBe(0);
    const config = { memoryBytes: 16 << 20, vcpus: 1, heapBytes: 64 << 20, cmdline: "" };
    machine.createDomain({ ...config, name: "three", modules: ["xen-blkfront"], disks: ["ram:1M,raw,xvda,w"] });
    machine.boot();
    expect(machine.domain("three").domid).toBe(3);
    expect(verifyDisk(machine, { domain: "three", blocks: 16 }).verified).toBe(true);
    expect(ramBytes(machine, "three", "xvda").length).toBe(1 << 20);
    expectChange(machine);
  });
});

onEveryEngine("pause", ({ boot }) => {
  it("stops a guest in the middle of its I/O, and lets it go on where it was", async () => {
    const machine = await boot();
    const execution = machine.start("domU", "verify /dev/xvda blocks=64 depth=32 seed=3");
    machine.runWhile(() => machine.ledger().diskRequestsInFlight === 0, 5e9);
    machine.pause("domU");
    machine.advance(2e9);
    const { entries } = machine.domain("domU").state.vcpus[0];
    machine.advance(2e9);
    expect(machine.domain("domU").state.vcpus[0].entries, "entries while it is paused").toBe(entries);
    expect(execution.status).toBe(null);
    machine.unpause("domU");
    machine.runWhile(() => execution.status === null, 10e9);
    expect(execution).toMatchObject({ status: 0, output: expect.stringContaining('"errors":0') as string });
  });

  it("is counted", async () => {
    const machine = await boot();
    machine.pause("domU");
    machine.pause("domU");
    machine.unpause("domU");
    expect(machine.domain("domU").state.pauseCount).toBe(1);
    expect(() => machine.run("domU", "lsblk")).toThrow(MachineError);
    machine.unpause("domU");
    expect(machine.run("domU", "lsblk").status).toBe(0);
  });

  it("of dom0 makes the guest wait, without an error", async () => {
    const machine = await boot();
    machine.pause("dom0");
    const execution = machine.start("domU", "dd if=/dev/xvda of=/dev/null bs=4k count=1 iflag=direct");
    machine.advance(3e9);
    expect(execution.status).toBe(null);
    machine.unpause("dom0");
    machine.runWhile(() => execution.status === null, 5e9);
    expect(execution.status).toBe(0);
    expect(searchLog(machine, "domU", /error|timeout/i)).toEqual([]);
  });
});
