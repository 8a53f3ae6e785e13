import { expect, it } from "vitest";
import { UserError } from "xenolith";
import { createMachine, onEveryEngine, ramBytes } from "xenolith/kit";

const containing = (text: string) => expect.stringContaining(text) as string;

onEveryEngine("first programs", ({ shared, boot }) => {
  const machine = shared({ disks: ["ram:1M,raw,xvda,w", "ram:256K,raw,xvdb,r"] });
  const run = (command: string, domain = "domU") => machine().run(domain, command);

  it("lsblk lists the disks", () => {
    expect(run("lsblk")).toEqual({
      status: 0,
      output:
        "NAME         MAJ:MIN RM   SIZE RO TYPE\n" +
        "xvda           202:0  0     1M  0 disk\n" +
        "xvdb          202:16  0   256K  1 disk\n",
    });
    expect(run("lsblk", "dom0").output).toMatch(/hostdisk0\s+240:0 .*\nhostdisk1\s+240:16 /);
  });

  it("ls lists names, and with -l types, permissions and numbers", () => {
    expect(run("ls /dev").output.split("\n")).toEqual([
      "console",
      "full",
      "hvc0",
      "null",
      "random",
      "tty",
      "urandom",
      "xvda",
      "xvdb",
      "zero",
      "",
    ]);
    expect(run("ls -l /dev").output).toContain("brw-rw---- 202,   0 xvda\n");
    expect(run("ls /nowhere")).toEqual({
      status: 2,
      output: "ls: cannot access '/nowhere': No such file or directory\n",
    });
  });

  it("cat writes files out", () => {
    expect(run("cat /sys/block/xvda/size /sys/block/xvda/ro")).toEqual({ status: 0, output: "2048\n0\n" });
    expect(run("cat /proc/cmdline").output).toContain("modules=xen-blkfront");
    expect(run("cat /nowhere")).toEqual({ status: 1, output: "cat: /nowhere: No such file or directory\n" });
  });

  it("dmesg prints what the host saw of the log, without the levels", () => {
    const host = machine()
      .log("domU")
      .map(({ text }) => text.replace(/^<\d>/, ""));
    expect(run("dmesg")).toEqual({ status: 0, output: `${host.join("\n")}\n` });
  });

  it("lsmod lists modules with their sizes and users", () => {
    expect(run("lsmod", "dom0").output).toMatch(
      /^Module +Size +Used by\nxen_blkback +[1-9]\d+ +2\nhostdisk +[1-9]\d+ +2\n$/,
    );
  });

  it("dd copies blocks to the very bytes of the host's disk, and back", () => {
    const bytes = ramBytes(machine(), "domU", "xvda");
    bytes.fill(0xa5, 4096, 8192);
    expect(run("dd if=/dev/xvda of=/dev/xvda bs=4k skip=1 seek=9 count=1 iflag=direct oflag=direct").status).toBe(0);
    expect(bytes.subarray(36864, 40960).every((byte) => byte === 0xa5)).toBe(true);
    expect(bytes.subarray(40960, 45056).every((byte) => byte === 0)).toBe(true);
    const { status, output } = run("dd if=/dev/zero of=/dev/xvda bs=64k count=2 conv=fsync");
    expect({ status, output }).toEqual({
      status: 0,
      output: containing("2+0 records in\n2+0 records out\n131072 bytes"),
    });
    expect(bytes.subarray(0, 131072).every((byte) => byte === 0)).toBe(true);
  });

  it("dd stops at the end of the disk, and refuses what it does not know", () => {
    expect(run("dd if=/dev/zero of=/dev/xvda bs=64k seek=15")).toEqual({
      status: 1,
      output: containing("error writing '/dev/xvda': No space left on device"),
    });
    expect(run("dd if=/dev/xvda of=/dev/null bs=3x").status).toBe(1);
    expect(run("dd if=/dev/xvda of=/dev/null colour=red")).toEqual({ status: 1, output: containing("colour=red") });
    expect(run("dd if=/dev/zero of=/dev/xvdb bs=4k count=1")).toEqual({ status: 1, output: containing("xvdb") });
  });

  it("xenstore-ls lists the guest's own part, and what it may not see is an error", () => {
    expect(run("xenstore-ls device/vbd/51712").output).toMatch(
      /^backend = "\/local\/domain\/0\/backend\/vbd\/1\/51712"\n/,
    );
    expect(run("xenstore-ls -f device").output).toMatch(/\bdevice\/vbd\/51712\/state = "4"\n/);
    expect(run("xenstore-ls")).toEqual({ status: 1, output: "xenstore-ls: /: Permission denied\n" });
    expect(run("xenstore-ls /local/domain/1", "dom0").output).toContain('name = "domU"\n');
  });

  it("insmod and rmmod load and unload, and say what is wrong", async () => {
    const own = await boot({ disks: [] });
    expect(own.run("domU", "insmod null_blk nr_devices=2")).toEqual({ status: 0, output: "" });
    expect(own.run("domU", "lsblk").output).toMatch(/nullb0 .*\nnullb1 /);
    expect(own.run("domU", "cat /sys/module/null_blk/parameters/nr_devices").output).toBe("2\n");
    expect(own.run("domU", "rmmod null_blk")).toEqual({ status: 0, output: "" });
    expect(own.run("domU", "rmmod null_blk")).toEqual({
      status: 1,
      output: containing("null_blk is not currently loaded"),
    });
    expect(own.run("domU", "insmod ghost").status).toBe(1);
    expect(own.run("domU", "insmod xen-blkfront").status).toBe(1);
  });

  it("leaves xenstore as it was, however many programs run", () => {
    const nodes = machine().xenstored.state.nodes.size;
    for (let i = 0; i < 20; i++) expect(run("ls /dev/null").status).toBe(0);
    expect(machine().xenstored.state.nodes.size).toBe(nodes);
  });

  it("refuses an unknown program and an unknown domain, and names the nearest", () => {
    expect(() => run("lsblkk")).toThrow(UserError);
    expect(() => run("lsblkk")).toThrow(/no program "lsblkk" \(did you mean "lsblk"\?\)/);
    expect(() => run("lsblk", "domu")).toThrow(/no domain "domu" \(did you mean "domU"\?\)/);
  });
});

onEveryEngine("kernel command line", ({ boot, engine }) => {
  it.each(["xen_blkfront.max_indirect_segments=64", "xen_blkfront.max=64"])("%s reaches the module", async (word) => {
    const machine = await boot({ append: { domU: word }, disks: [] });
    const { output } = machine.run("domU", "cat /sys/module/xen_blkfront/parameters/max_indirect_segments");
    expect(output).toBe("64\n");
  });

  it("that is longer than start_info's room is refused, with both lengths", async () => {
    const append = { domU: `x=${"y".repeat(1100)}` };
    await expect(createMachine({ engine, append })).rejects.toThrow(UserError);
    await expect(createMachine({ engine, append })).rejects.toThrow(
      /command line of domU has 11\d\d bytes; at most 1023 fit/,
    );
  });

  it("of exactly the room that there is arrives whole", async () => {
    const fixed = (await boot({ disks: [] })).run("domU", "cat /proc/cmdline").output.length - 1;
    const word = `x=${"y".repeat(1023 - fixed - " x=".length)}`;
    const machine = await boot({ append: { domU: word }, disks: [] });
    expect(machine.run("domU", "cat /proc/cmdline").output.trim()).toHaveLength(1023);
  });

  it("naming a module that the image does not have is refused", async () => {
    const guests = [{ name: "domU", modules: ["xen-blkfrond"] }];
    await expect(createMachine({ engine, guests })).rejects.toThrow(
      /no module "xen-blkfrond" \(did you mean "xen-blkfront"\?\)/,
    );
  });
});
