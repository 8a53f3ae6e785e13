import { expect, it } from "vitest";
import { type DomainEnd, type Machine, MachineError, UserError } from "xenolith";
import { type GuestOptions, onEveryEngine, ramBytes, searchLog, settle, verifyDisk } from "xenolith/kit";

const DISK = "ram:256K,raw,xvda,w";

/** A small guest with these policies. */
function guest(policy: Partial<GuestOptions> = {}): GuestOptions {
  return { name: "domU", memoryBytes: 2 << 20, disks: [DISK], ...policy };
}

/** Makes the guest's kernel panic, and waits until the toolstack knows. */
function crash(machine: Machine, name = "domU"): void {
  const before = machine.ends().length;
  machine.xenstore.write(`/local/domain/${machine.domain(name).domid}/control/sysrq`, "c");
  expect(machine.runWhile(() => machine.ends().length === before, 5e9)).toBe(true);
}

function lastEnd(machine: Machine): Pick<DomainEnd, "name" | "reason" | "action"> | undefined {
  const end = machine.ends().at(-1);
  return end && { name: end.name, reason: end.reason, action: end.action };
}

onEveryEngine("a domain that ends by itself", ({ boot, expectChange, expectComplaints }) => {
  it("powers off when asked, and is destroyed: nothing is left of it, and its name is free", async () => {
    const machine = await boot({ guests: [guest()] });
    expect(machine.shutdown("domU")).toMatchObject({ name: "domU", domid: 1, reason: "poweroff", action: "destroy" });
    settle(machine);
    expect(machine.domainNames()).toEqual(["dom0"]);
    expect(machine.ledger()).toMatchObject({ framesOrphaned: 0, diskRequestsInFlight: 0 });
    expect(machine.attachedDisks()).toEqual([]);
    for (const path of ["/local/domain/1", "/local/domain/0/backend/vbd", "/libxl/1"]) {
      expect(machine.xenstore.exists(path), path).toBe(false);
    }
    machine.createDomain({ ...machine.domain("dom0").config, name: "domU", memoryBytes: 2 << 20, modules: [] });
    machine.boot();
    expect(machine.domain("domU").domid).toBe(2);
    expectChange(machine);
  });

  it("reboots when asked: another domid, the same disk with the same bytes, and nothing of the old one", async () => {
    const machine = await boot({ guests: [guest()] });
    const before = machine.ledger();
    expect(verifyDisk(machine, { blocks: 16 }).verified).toBe(true);
    const bytes = Buffer.from(ramBytes(machine, "domU", "xvda"));
    machine.reboot("domU");
    expect(lastEnd(machine)).toEqual({ name: "domU", reason: "reboot", action: "restart" });
    expect(machine.domain("domU").domid).toBe(2);
    expect(bytes.equals(ramBytes(machine, "domU", "xvda"))).toBe(true);
    expect(verifyDisk(machine, { blocks: 16 }).verified).toBe(true);
    settle(machine);
    expect({ ...machine.ledger(), eventsQueued: 0 }).toEqual({
      ...before,
      eventsQueued: 0,
      domains: before.domains.map((domain) => ({ ...domain, domid: domain.domid === 0 ? 0 : 2 })),
    });
    expectChange(machine);
  });

  it("halts when asked, which the hypervisor sees as a power off", async () => {
    const machine = await boot({ guests: [guest({ onPoweroff: "preserve" })] });
    expect(machine.shutdown("domU", "halt").reason).toBe("poweroff");
    expect(searchLog(machine, "domU", "reboot: System halted")).toHaveLength(1);
    expectChange(machine);
  });

  it("crashes, and is destroyed, as xl does it: whoever waits for it hears of what", async () => {
    const machine = await boot({ guests: [guest({ onCrash: "destroy" })] });
    expectComplaints(machine);
    const program = machine.start("domU", "dd if=/dev/xvda of=/dev/null bs=4k count=1");
    crash(machine);
    expect(lastEnd(machine)).toEqual({ name: "domU", reason: "crash", action: "destroy" });
    expect(machine.ends()[0].report).toMatch(/sysrq triggered crash[^]* \(kernel\/sysrq\.ts:\d+:\d+\)/);
    expect(program.status).toBe(null);
    expect(machine.domainNames()).toEqual(["dom0"]);
    expect(() => machine.run("domU", "lsblk")).toThrow(UserError);
    expectChange(machine);
  });

  it("crashes, and is started again, with a disk that was attached later too", async () => {
    const machine = await boot({ guests: [guest({ onCrash: "restart" })] });
    expectComplaints(machine);
    machine.attachDisk("domU", "ram:64K,raw,xvdb,w");
    machine.waitForDisks();
    crash(machine);
    machine.boot();
    expect(machine.domain("domU").domid).toBe(2);
    const names = machine.run("domU", "lsblk").output.match(/^xvd./gm);
    expect(names).toEqual(["xvda", "xvdb"]);
    expect(verifyDisk(machine, { blocks: 16 }).verified).toBe(true);
    expectChange(machine);
  });

  it("crashes, and is preserved: its log can be read, it does nothing, and it can be restarted", async () => {
    const machine = await boot({ guests: [guest({ onCrash: "preserve" })] });
    expectComplaints(machine);
    crash(machine);
    expect(machine.domain("domU").end).toMatchObject({ reason: "crash", action: "preserve" });
    expect(searchLog(machine, "domU", /sysrq triggered crash/).length).toBeGreaterThan(0);
    expect(() => machine.run("domU", "lsblk")).toThrow(MachineError);
    expect(() => machine.pause("domU")).toThrow(/domU has ended \(crash\)/);
    expect(() => machine.attachDisk("domU", "ram:64K")).toThrow(/domU has ended \(crash\)/);
    expect(() => machine.shutdown("domU")).toThrow(/domU has ended \(crash\)/);
    machine.restart("domU");
    expect(verifyDisk(machine, { blocks: 16 }).verified).toBe(true);
    expectChange(machine);
  });

  it("goes on being the other guests' business of nobody: one reboots while another's I/O is verified", async () => {
    const machine = await boot({ guests: [guest({ name: "one" }), guest({ name: "two" })] });
    const io = machine.start("two", "verify /dev/xvda blocks=32 depth=8 seed=5");
    machine.requestShutdown("one", "reboot");
    machine.runWhile(() => io.status === null, 10e9);
    expect(io).toMatchObject({ status: 0, output: expect.stringContaining('"errors":0') as string });
    machine.boot();
    expect(lastEnd(machine)).toEqual({ name: "one", reason: "reboot", action: "restart" });
    expectChange(machine);
  });

  it("is not started for ever when it dies before it takes programs", async () => {
    const machine = await boot({ guests: [guest({ onCrash: "restart" })] });
    const { config } = machine.domain("domU");
    machine.destroy("domU");
    settle(machine);
    machine.createDomain({ ...config, disks: [] });
    for (let life = 1; life <= 4; life++) {
      const { domid } = machine.domain("domU");
      machine.hypervisor.crashDomain(domid, "an early death");
      expect(machine.runWhile(() => machine.ends().length < life, 5e9)).toBe(true);
    }
    expect(machine.ends().map(({ reason, action }) => `${reason} ${action}`)).toEqual([
      "crash restart",
      "crash restart",
      "crash restart",
      "crash destroy",
    ]);
    expect(machine.domainNames()).toEqual(["dom0"]);
    expectChange(machine);
  });
});

onEveryEngine("what cannot be asked of a domain", ({ boot, expectChange }) => {
  it("is a clear error, and changes nothing", async () => {
    const machine = await boot({ guests: [guest()] });
    const inputs = machine.inputs().length;
    expect(() => machine.destroy("dom0")).toThrow(/the first domain cannot be destroyed/);
    expect(() => machine.restart("dom0")).toThrow(/the first domain cannot be restarted/);
    expect(() => machine.unpause("domU")).toThrow(/domU is not paused/);
    expect(() => machine.restart("domUU")).toThrow(/there is no domain "domUU" \(did you mean "domU"\?\)/);
    expect(() => machine.createDomain({ ...machine.domain("domU").config })).toThrow(/a domain "domU" already/);
    expect(machine.inputs()).toHaveLength(inputs);
  });

  it("a domain that the machine has no memory for", async () => {
    const machine = await boot({ guests: [guest()] });
    const config = { ...machine.domain("domU").config, name: "big", memoryBytes: 4 << 20 };
    expect(() => machine.createDomain(config)).toThrow(/domain big cannot be made: no room for "big"/);
    expect(machine.domainNames()).toEqual(["dom0", "domU"]);
    expect(machine.xenstore.directory("/local/domain")).toEqual(["0", "1"]);
  });

  it("a shutdown of a paused domain", async () => {
    const machine = await boot({ guests: [guest()] });
    machine.pause("domU");
    expect(() => machine.shutdown("domU")).toThrow(/domU is paused and cannot shut down; unpause it first/);
    // Asked without waiting, it shuts down once it runs.
    machine.requestShutdown("domU", "poweroff");
    machine.advance(1e9);
    expect(machine.ends()).toEqual([]);
    machine.unpause("domU");
    machine.advance(1e9);
    expect(machine.ends()).toHaveLength(1);
    expectChange(machine);
  });
});

onEveryEngine("disks of domains that come and go", ({ boot, diskFile, expectChange }) => {
  it("a file that one domain writes to is refused to another, also between two lives, and free after the end", async () => {
    const { path } = diskFile(1 << 20);
    const guests = [guest({ name: "one", disks: [`${path},raw,xvda,w`] }), guest({ name: "two" })];
    const machine = await boot({ guests });
    for (const access of ["w", "r"]) {
      expect(() => machine.attachDisk("two", `${path},raw,xvdb,${access}`)).toThrow(/another domain writes to it/);
    }
    machine.restart("one");
    expect(() => machine.attachDisk("two", `${path},raw,xvdb,w`)).toThrow(/another domain writes to it/);
    machine.destroy("one");
    settle(machine);
    machine.attachDisk("two", `${path},raw,xvdb,w`);
    machine.waitForDisks();
    expectChange(machine);
  });

  it("a restart in every state of the connection comes to the same end", async () => {
    const machine = await boot({ guests: [guest()] });
    for (const [end, state] of ["front 1", "back 2", "front 3", "back 4", "front 4"].map((step) => step.split(" "))) {
      machine.destroy("domU");
      settle(machine);
      machine.createDomain({ ...machine.domain("dom0").config, ...guest(), cmdline: "", modules: ["xen-blkfront"] });
      const reached = () =>
        machine.attachedDisks()[0].ladder.some((step) => step.end === end && step.state === Number(state));
      expect(
        machine.runWhile(() => !reached(), 5e9),
        `${end} ${state}`,
      ).toBe(true);
      machine.restart("domU");
      expect(verifyDisk(machine, { blocks: 4 }).verified, `after a restart in ${end} ${state}`).toBe(true);
      settle(machine);
      expect(machine.ledger()).toMatchObject({ framesOrphaned: 0, diskRequestsInFlight: 0 });
    }
    expectChange(machine);
  });
});
