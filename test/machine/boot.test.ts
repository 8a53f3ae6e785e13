import { expect, it } from "vitest";
import { onEveryEngine, searchLog } from "xenolith/kit";

onEveryEngine("boot", ({ boot, shared }) => {
  const machine = shared({ append: { domU: "loglevel=7" } });

  /** The states that one end went through. */
  const states = (end: "front" | "back") =>
    machine()
      .attachedDisks()[0]
      .ladder.filter((step) => step.end === end)
      .map(({ state }) => state);

  it("takes the front end through 1, 3 and 4, and the back end through 1, 2 and 4", () => {
    expect(states("front")).toEqual([1, 3, 4]);
    expect(states("back")).toEqual([1, 2, 4]);
  });

  it("lets the front end publish its ring only after the back end's 2, and connect only after its 4", () => {
    const { ladder } = machine().attachedDisks()[0];
    const order = ladder.filter(({ state }) => state > 1).map(({ end, state }) => `${end} ${state}`);
    expect(order).toEqual(["back 2", "front 3", "back 4", "front 4"]);
    const times = ladder.map(({ at }) => at);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  it("logs what both drivers log on Linux", () => {
    expect(
      searchLog(machine(), "dom0", "xen-blkback: backend/vbd/1/51712: using 1 queues, protocol 1 (x86_64-abi)"),
    ).toHaveLength(1);
    expect(
      searchLog(machine(), "domU", /blkfront: xvda: .*persistent grants: \w+; indirect descriptors: \w+;/),
    ).toHaveLength(1);
    expect(searchLog(machine(), "domU", /Command line: .*modules=xen-blkfront loglevel=7$/)).toHaveLength(1);
  });

  it("makes the disk readable with the bytes of the host's", () => {
    const { status, output } = machine().run("domU", "dd if=/dev/xvda of=/dev/null bs=4k iflag=direct");
    expect({ status, output }).toMatchObject({
      status: 0,
      output: expect.stringContaining("256+0 records in") as string,
    });
  });

  it("reports each step to who wants a bootchart", async () => {
    const phases: string[] = [];
    await boot({ onPhase: (phase) => phases.push(phase) });
    expect(phases.filter((phase) => /takes programs/.test(phase)).sort()).toEqual([
      "dom0 takes programs",
      "domU takes programs",
    ]);
    expect(phases.filter((phase) => /end in state [234]/.test(phase))).toEqual([
      "back end in state 2",
      "front end in state 3",
      "back end in state 4",
      "front end in state 4",
    ]);
  });

  it("boots without any disk, and without any guest", async () => {
    const alone = await boot({ guests: [] });
    expect(alone.run("dom0", "lsblk").output).toBe("NAME         MAJ:MIN RM   SIZE RO TYPE\n");
    const diskless = await boot({ disks: [] });
    expect(diskless.run("domU", "lsmod").output).toContain("xen_blkfront");
  });
});
