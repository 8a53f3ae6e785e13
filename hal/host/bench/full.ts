/**
 * The full stack: 4 KiB random reads from a program in domU through blk-mq, xen-blkfront, a real ring, xen-blkback, bios and dom0's RAM disk,
 * each page mapped and unmapped by a grant.
 */
import type { EngineName } from "../engines/engine";
import type { Flavour } from "../image/format";
import { readImage } from "../image/image";
import { Machine } from "../machine";
import { defaultImagePath } from "../package-info";
import type { MachineConfig } from "../toolstack/machine-file";

/** Reads that are not measured. */
const WARMUP_OPS = 2000;

function domain(name: string, modules: string[], disks: string[], cmdline: string): MachineConfig["domains"][number] {
  return { name, memoryBytes: 32 << 20, vcpus: 1, heapBytes: 64 << 20, cmdline, modules, disks };
}

/** A machine whose domU has dom0's RAM disk as xvda. */
export async function makeBenchMachine(engine: EngineName, flavour: Flavour): Promise<Machine> {
  const config: MachineConfig = {
    seed: 1,
    quantumNs: 2000,
    costs: {},
    domains: [
      domain("dom0", ["brd", "xen-blkback"], [], "brd.rd_nr=1 brd.rd_size=8192 quiet"),
      domain("domU", ["xen-blkfront"], ["phy:/dev/ram0,raw,xvda,w"], "quiet"),
    ],
  };
  const machine = await Machine.create({ image: readImage(defaultImagePath()), config, engine, flavour });
  machine.boot();
  machine.run("domU", `iops /dev/xvda ops=${WARMUP_OPS}`);
  return machine;
}

/** Reads per second of wall time, over at least `seconds` seconds. */
export function measureFull(machine: Machine, depth: number, seconds: number): number {
  let ops = 1000;
  for (;;) {
    const begin = performance.now();
    const { status, output } = machine.run("domU", `iops /dev/xvda depth=${depth} ops=${ops}`);
    const elapsed = performance.now() - begin;
    if (status !== 0) throw new Error(`the benchmark's reads failed: ${output}`);
    if (elapsed >= seconds * 1000) return (ops * 1000) / elapsed;
    ops = Math.ceil(ops * Math.min(10, Math.max(1.5, (seconds * 1100) / elapsed)));
  }
}
