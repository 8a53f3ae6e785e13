/**
 * Lives without end: one guest is restarted again and again, in every way there is, and the machine holds no more than after the first time.
 * XENOLITH_RESTARTS=1000 runs a thousand of them.
 */
import { expect, it } from "vitest";
import type { Machine } from "xenolith";
import { onEveryEngine, settle, verifyDisk } from "xenolith/kit";
import { dom0Heap, holdings, hostObjects } from "./holdings";

const RESTARTS = Number(process.env["XENOLITH_RESTARTS"] ?? 60);
/** Restarts between two looks; a multiple of the number of ways. */
const ROUND = 15;
/** Words that a wait, a queue or a table of the host may have more or less of. */
const HOST_OBJECTS_SLACK = 100;
/** A line in dom0's log for each life, of which the kernel keeps the last 1024. */
const LOG_BYTES = 300;
const LOG_LINES = 1024;
/** Half of what dom0's heap goes up and down between two collections of garbage. */
const HEAP_SLACK_BYTES = 256 << 10;

/** Every way to a new life. */
const WAYS: Readonly<Record<string, (machine: Machine) => void>> = {
  reboot: (machine) => machine.reboot("domU"),
  restart: (machine) => machine.restart("domU"),
  crash: (machine) => {
    machine.hypervisor.crashDomain(machine.domain("domU").domid, "a crash");
    const { domid } = machine.domain("domU");
    machine.runWhile(() => machine.domainNames().includes("domU") && machine.domain("domU").domid === domid, 5e9);
    machine.boot();
  },
  "restart with requests in flight": (machine) => {
    machine.start("domU", "verify /dev/xvda blocks=32 depth=16 seed=3");
    expect(machine.runWhile(() => machine.ledger().diskRequestsInFlight < 4, 5e9)).toBe(true);
    machine.restart("domU");
  },
  "destroy and create": (machine) => {
    const { config } = machine.domain("domU");
    machine.destroy("domU");
    settle(machine);
    machine.createDomain(config);
    machine.boot();
  },
};

onEveryEngine("a guest with many lives", ({ boot, engine, expectChange, expectComplaints }) => {
  it(`holds no more after ${RESTARTS} of them than after the first`, { timeout: 3_600_000 }, async () => {
    const guest = { name: "domU", memoryBytes: 2 << 20, onCrash: "restart" as const, disks: ["ram:256K,raw,xvda,w"] };
    const machine = await boot({ flavour: "release", guests: [guest], trace: "off" });
    expectComplaints(machine);
    const ways = Object.values(WAYS);
    for (const way of ways) way(machine);
    settle(machine);
    const [before, objects] = [holdings(machine), hostObjects(machine)];
    const heaps: number[] = [];
    for (let life = 0; life < RESTARTS; life++) {
      ways[life % ways.length](machine);
      heaps.push(dom0Heap(machine));
      if ((life + 1) % ROUND !== 0) continue;
      expect(verifyDisk(machine, { blocks: 8 }).verified, `I/O of life ${life}`).toBe(true);
      settle(machine);
      expect(holdings(machine), `after life ${life}`).toEqual(before);
      expect(Math.abs(hostObjects(machine) - objects), "objects of the host").toBeLessThan(HOST_OBJECTS_SLACK);
    }
    expect(machine.domain("domU").domid, "domids are not used again so soon").toBe(RESTARTS + ways.length + 1);
    if (engine === "quickjs") {
      const third = Math.floor(RESTARTS / 3);
      const growth = Math.min(...heaps.slice(-third)) - Math.min(...heaps.slice(0, third));
      expect(growth, "bytes of dom0's heap").toBeLessThan(LOG_BYTES * Math.min(RESTARTS, LOG_LINES) + HEAP_SLACK_BYTES);
    }
    expectChange(machine);
  });
});
