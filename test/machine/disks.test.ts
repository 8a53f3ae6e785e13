import { expect, it } from "vitest";
import { MachineError, RamDisk, UserError } from "xenolith";
import { checkLedger, onEveryEngine, searchLog, takeLedger, verifyDisk } from "xenolith/kit";

const MIB = 1 << 20;
/** The back end looks at its device's size at least this often. */
const RESIZE_NOTICE_NS = 150_000_000;

onEveryEngine("disks that come and go", ({ boot, shared }) => {
  const machine = shared({ disks: [] });

  it("attaches a disk to a running guest, serves it, and leaves no trace of it when it is detached", () => {
    const before = takeLedger(machine());
    const round = (): number => {
      expect(machine().attachDisk("domU", "ram:1M,raw,xvdb,w")).toBe("xvdb");
      machine().waitForDisks();
      expect(verifyDisk(machine(), { blocks: 16 }).verified).toBe(true);
      expect(machine().run("domU", "ls /dev/xvdb").status).toBe(0);
      machine().detachDisk("domU", "xvdb");
      expect(machine().run("domU", "ls /dev/xvdb").status).toBe(2);
      checkLedger(machine(), before);
      return machine().xenstored.state.nodes.size;
    };
    const nodes = round();
    expect(round(), "nodes in xenstore, directories of the first disk included").toBe(nodes);
    expect(machine().run("domU", "cat /proc/meminfo").output).toBe(machine().run("domU", "cat /proc/meminfo").output);
  });

  it("detaches a disk that nobody ever used", () => {
    machine().attachDisk("domU", "ram:256K,raw,xvdc,w");
    machine().waitForDisks();
    machine().detachDisk("domU", "xvdc");
    expect(machine().xenstore.exists("/local/domain/1/device/vbd/51744")).toBe(false);
    expect(machine().xenstore.exists("/local/domain/0/backend/vbd/1/51744")).toBe(false);
    expect(machine().xenstore.exists("/libxl/1/device/vbd/51744")).toBe(false);
  });

  it("takes a closing connection through 4, 6 in front and 4, 6 behind", () => {
    machine().attachDisk("domU", "ram:256K,raw,xvdd,w");
    machine().waitForDisks();
    const { ladder } = machine().attachedDisks().at(-1) ?? { ladder: [] };
    machine().detachDisk("domU", "xvdd");
    const states = (end: string) => ladder.filter((step) => step.end === end).map(({ state }) => state);
    expect(states("front")).toEqual([1, 3, 4, 6]);
    expect(states("back")).toEqual([1, 2, 4, 5, 6]);
  });

  it("chooses the next free name, and refuses a taken one and an unknown one", () => {
    expect(machine().attachDisk("domU", "ram:256K")).toBe("xvda");
    expect(machine().attachDisk("domU", "ram:256K")).toBe("xvdb");
    machine().waitForDisks();
    expect(() => machine().attachDisk("domU", "ram:256K,raw,xvdb,w")).toThrow(UserError);
    expect(() => machine().detachDisk("domU", "xvdx")).toThrow(/there is no disk "xvdx"/);
    machine().detachDisk("domU", "xvda");
    machine().detachDisk("domU", "xvdb");
  });

  it("shows the guest a disk that has grown, with its new end usable", async () => {
    const disk = new RamDisk(new Uint8Array(MIB));
    disk.resize(1024);
    const small = await boot({ disks: [{ spec: "ram:1M,raw,xvda,w", disk }] });
    expect(small.run("domU", "cat /sys/block/xvda/size").output).toBe("1024\n");
    disk.resize(2048);
    small.diskChanged();
    small.advance(RESIZE_NOTICE_NS);
    expect(small.run("domU", "cat /sys/block/xvda/size").output).toBe("2048\n");
    expect(searchLog(small, "dom0", /VBD Resize: new size 2048/)).toHaveLength(1);
    expect(verifyDisk(small, { blocks: 256, depth: 32 })).toMatchObject({ verified: true, blocks: 256 });
  });
});

onEveryEngine("modules that come and go", ({ boot }) => {
  it("leaves a disk closed when the front end's driver is removed, and connects it with its data once it is attached anew", async () => {
    const bytes = new Uint8Array(256 << 10);
    const machine = await boot({ disks: [{ spec: "ram:256K,raw,xvda,w", disk: new RamDisk(bytes) }] });
    expect(verifyDisk(machine, { blocks: 16 }).verified).toBe(true);
    const before = Buffer.from(bytes);
    const ledger = takeLedger(machine);
    expect(machine.run("domU", "rmmod xen-blkfront")).toEqual({ status: 0, output: "" });
    machine.advance(100_000_000);
    expect(
      machine
        .attachedDisks()[0]
        .ladder.slice(-2)
        .map(({ end, state }) => `${end} ${state}`),
    ).toEqual(["front 6", "back 6"]);
    expect(machine.ledger().domains.map(({ mappings, grantsInUse }) => mappings + grantsInUse)).toEqual([0, 0]);
    // As on Linux, the driver alone does not begin again: its device's state stays Closed.
    expect(machine.run("domU", "insmod xen-blkfront")).toEqual({ status: 0, output: "" });
    machine.advance(500_000_000);
    expect(machine.run("domU", "lsblk").output).not.toContain("xvda");
    machine.detachDisk("domU", "xvda");
    // The bus must see the directory gone: what is made anew at once is the old device to it.
    machine.advance(10_000_000);
    machine.attachDisk("domU", "ram:256K,raw,xvda,w", new RamDisk(bytes));
    machine.waitForDisks();
    expect(Buffer.from(bytes).equals(before)).toBe(true);
    expect(machine.run("domU", "dd if=/dev/xvda of=/dev/null bs=4k iflag=direct").status).toBe(0);
    expect(verifyDisk(machine, { blocks: 16 }).verified).toBe(true);
    checkLedger(machine, ledger);
  });

  it("does not remove the back end's driver while it serves a disk, and serves a new one after a reload", async () => {
    const machine = await boot();
    const ledger = takeLedger(machine);
    const inUse = { status: 1, output: expect.stringContaining("Module xen-blkback is in use") as string };
    expect(machine.run("dom0", "rmmod xen-blkback")).toEqual(inUse);
    expect(verifyDisk(machine, { blocks: 16 }).verified).toBe(true);
    machine.detachDisk("domU", "xvda");
    expect(machine.run("dom0", "rmmod xen-blkback")).toEqual({ status: 0, output: "" });
    expect(machine.run("dom0", "lsmod").output).not.toContain("xen_blkback");
    machine.attachDisk("domU", "ram:1M,raw,xvda,w");
    machine.advance(1e9);
    expect(
      machine.attachedDisks()[0].ladder.map(({ state }) => state),
      "without a back end",
    ).toEqual([1, 1]);
    expect(machine.run("dom0", "insmod xen-blkback")).toEqual({ status: 0, output: "" });
    machine.waitForDisks();
    expect(verifyDisk(machine, { blocks: 16 }).verified).toBe(true);
    checkLedger(machine, ledger);
  });

  it("does not remove a module that others need", async () => {
    const machine = await boot();
    const inUse = { status: 1, output: expect.stringContaining("Module hostdisk is in use") as string };
    expect(machine.run("dom0", "rmmod hostdisk")).toEqual(inUse);
    expect(machine.run("dom0", "rmmod nothing")).toEqual({
      status: 1,
      output: expect.stringContaining("Module nothing is not currently loaded") as string,
    });
  });

  it("runs all modules of a machine without disks in and out, and leaks nothing", async () => {
    const machine = await boot({ disks: [] });
    const memory = () => machine.run("domU", "cat /proc/meminfo").output;
    const before = memory();
    for (const [domain, module] of [
      ["domU", "xen-blkfront"],
      ["dom0", "xen-blkback"],
      ["dom0", "hostdisk"],
    ]) {
      expect(machine.run(domain, `rmmod ${module}`)).toEqual({ status: 0, output: "" });
      expect(machine.run(domain, `insmod ${module}`)).toEqual({ status: 0, output: "" });
    }
    expect(memory()).toBe(before);
    machine.attachDisk("domU", "ram:1M,raw,xvda,w");
    machine.waitForDisks();
    expect(verifyDisk(machine, { blocks: 16 }).verified).toBe(true);
    machine.detachDisk("domU", "xvda");
  });
});

onEveryEngine("a disk that cannot be had", ({ boot, diskFile }) => {
  it("is a clear error for the user", async () => {
    await expect(boot({ disks: ["/nowhere/disk.img,raw,xvda,w"] })).rejects.toThrow(
      /disk \/nowhere\/disk.img: no such file/,
    );
    await expect(boot({ disks: ["/,raw,xvda,w"] })).rejects.toThrow(/is a directory/);
    const odd = diskFile(1000);
    await expect(boot({ disks: [`${odd.path},raw,xvda,w`] })).rejects.toThrow(
      /1000 bytes are not a positive multiple of 512; the nearest are 512 and 1024/,
    );
    await expect(boot({ disks: ["ram:1M,qcow2,xvda,w"] })).rejects.toThrow(/format qcow2 cannot be read/);
  });

  it("keeps the machine from booting, and says why, when dom0 has no such device", async () => {
    const failure = boot({ disks: ["phy:/dev/nothing,raw,xvda,w"] });
    await expect(failure).rejects.toThrow(MachineError);
    await expect(failure).rejects.toThrow(/domain 0 has no block device \/dev\/nothing/);
  });
});
