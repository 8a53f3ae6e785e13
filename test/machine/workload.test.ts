import { expect, it } from "vitest";
import { RamDisk } from "xenolith";
import { onEngine, onEveryEngine, ramBytes, tamperedDisk, verifyDisk } from "xenolith/kit";

const BLOCK = 4096;
const MIB = 1 << 20;

onEveryEngine("verified workload", ({ boot, diskFile }) => {
  it("writes a real file, reads it back, and agrees with the host on every byte", async () => {
    const file = diskFile(MIB, (offset) => (offset * 31 + (offset >>> 9)) & 0xff);
    const before = file.read();
    const machine = await boot({ disks: [`${file.path},raw,xvda,w`] });
    const result = verifyDisk(machine, { blocks: 64, depth: 32 });
    expect(result).toMatchObject({ verified: true, errors: 0, problems: [], ops: 64 + 16 + 64 });
    const after = file.read();
    expect(after.subarray(64 * BLOCK).equals(before.subarray(64 * BLOCK)), "bytes beyond the workload's blocks").toBe(
      true,
    );
    for (let block = 0; block < 64; block++) {
      expect(after.readUInt32LE(block * BLOCK + 8), "number in the block's header").toBe(block);
    }
  });

  it("covers the last block of a disk", async () => {
    const machine = await boot({ disks: ["ram:64K,raw,xvda,w"] });
    expect(verifyDisk(machine, { blocks: 1000 })).toMatchObject({ verified: true, blocks: 16 });
  });

  it("runs on two vCPUs per domain", async () => {
    const machine = await boot({ vcpus: 2 });
    expect(verifyDisk(machine, { depth: 32 })).toMatchObject({ verified: true, errors: 0 });
    expect(machine.run("domU", "cat /proc/interrupts").output).toMatch(/CPU0\s+CPU1/);
  });

  it("keeps three guests apart, with two disks each", async () => {
    const names = ["one", "two", "three"];
    const guests = names.map((name) => ({ name, disks: ["ram:256K,raw,xvda,w", "ram:256K,raw,xvdb,w"] }));
    const machine = await boot({ guests });
    for (const domain of names) expect(verifyDisk(machine, { domain, blocks: 16 }).verified).toBe(true);
    for (const domain of names) {
      const first = Buffer.from(ramBytes(machine, domain, "xvda").buffer);
      expect(first.readUInt32LE(0), "magic").toBe(0x4b424c58);
      expect(ramBytes(machine, domain, "xvdb").every((byte) => byte === 0)).toBe(true);
    }
  });

  it("works on 4096-byte sectors", async () => {
    const machine = await boot({ disks: ["ram:1M,raw,xvda,w,sector-size=4096"] });
    expect(machine.run("domU", "cat /sys/block/xvda/queue/logical_block_size").output).toBe("4096\n");
    expect(verifyDisk(machine)).toMatchObject({ verified: true, errors: 0 });
    const small = machine.run("domU", "dd if=/dev/xvda of=/dev/null bs=512 count=1 iflag=direct");
    expect(small).toMatchObject({ status: 1, output: expect.stringContaining("Invalid argument") as string });
  });
});

onEveryEngine("read-only disk", ({ boot }) => {
  it("refuses writes in the guest, puts none on the ring, and can be read", async () => {
    const bytes = new Uint8Array(MIB).fill(0x5a);
    let writes = 0;
    const disk = tamperedDisk(new RamDisk(bytes, { access: "r" }), {
      fail: (op) => {
        if (op === "write") writes++;
        return 0;
      },
    });
    const machine = await boot({ disks: [{ spec: "ram:1M,raw,xvda,r", disk }] });
    expect(machine.run("domU", "lsblk").output).toMatch(/xvda\s+202:0\s+0\s+1M\s+1 disk/);
    const { diskRequests } = machine.counters();
    for (const flags of ["", " oflag=direct"]) {
      const { status } = machine.run("domU", `dd if=/dev/zero of=/dev/xvda bs=4k count=1 conv=fsync${flags}`);
      expect(status).toBe(1);
    }
    expect(machine.counters().diskRequests).toBe(diskRequests);
    expect(writes).toBe(0);
    expect(bytes.every((byte) => byte === 0x5a)).toBe(true);
    expect(machine.run("domU", "dd if=/dev/xvda of=/dev/null bs=4k count=2 iflag=direct").status).toBe(0);
  });
});

/** On one engine: what must fail here is the host's comparison and the guest's own check, and both are the same in the other one. */
onEngine("v8", "the workload's verification", ({ boot }) => {
  const bytes = () => new RamDisk(new Uint8Array(MIB));

  it("fails on one flipped bit of a read", async () => {
    let armed = false;
    const disk = tamperedDisk(bytes(), {
      afterRead: (sector, data) => {
        if (armed && sector === 8 * 5) data[1234] ^= 0x10;
      },
    });
    const machine = await boot({ disks: [{ spec: "ram:1M,raw,xvda,w", disk }] });
    expect(verifyDisk(machine).verified, "before the bit flips").toBe(true);
    armed = true;
    const result = verifyDisk(machine);
    expect(result.verified).toBe(false);
    expect(result.problems[0]).toMatch(/^verify: block 5: /);
  });

  it("fails on one flipped bit of a write, in the guest and on the host", async () => {
    const disk = tamperedDisk(bytes(), {
      changeWrite: (sector, data) => {
        if (sector !== 8 * 7) return data;
        const changed = data.slice();
        changed[4095] ^= 0x80;
        return changed;
      },
    });
    const machine = await boot({ disks: [{ spec: "ram:1M,raw,xvda,w", disk }] });
    const result = verifyDisk(machine);
    expect(result.verified).toBe(false);
    expect(result.errors).toBe(2);
    expect(result.problems.join("\n")).toMatch(/block 7: [^]*disk: block 7 differs .* at byte 4095/);
  });

  it("fails on two swapped blocks, although each of them is whole", async () => {
    const swap: Readonly<Record<number, number>> = { 80: 160, 160: 80 };
    const disk = tamperedDisk(bytes(), { redirectWrite: (sector) => swap[sector] ?? sector });
    const machine = await boot({ disks: [{ spec: "ram:1M,raw,xvda,w", disk }] });
    const result = verifyDisk(machine);
    expect(result.verified).toBe(false);
    expect(result.problems.join("\n")).toMatch(/block 10: [^]*block 20: [^]*disk: block 10 [^]*disk: block 20 /);
  });

  it("fails on a write that was lost, because the block is of another generation", async () => {
    const first = new Set<number>();
    const again: number[] = [];
    const inner = bytes();
    const disk = tamperedDisk(inner, {
      redirectWrite: (sector) => {
        if (!first.has(sector)) return first.add(sector), sector;
        again.push(sector / 8);
        return inner.info.sectors - 8;
      },
    });
    const machine = await boot({ disks: [{ spec: "ram:1M,raw,xvda,w", disk }] });
    const result = verifyDisk(machine, { blocks: 8 });
    expect(again).toHaveLength(2);
    expect(result.verified).toBe(false);
    for (const block of again) expect(result.problems.join("\n")).toMatch(new RegExp(`verify: block ${block}: `));
  });

  it("reports a failing disk as errors of the guest", async () => {
    const disk = tamperedDisk(bytes(), { fail: (op, sector) => (op === "write" && sector === 16 ? -5 : 0) });
    const machine = await boot({ disks: [{ spec: "ram:1M,raw,xvda,w", disk }] });
    const result = verifyDisk(machine, { blocks: 4 });
    expect(result.verified).toBe(false);
    expect(result.problems.join("\n")).toMatch(/block 2: write failed/);
  });
});
