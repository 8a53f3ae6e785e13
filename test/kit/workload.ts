/** The verified workload in a test: the guest writes and reads back, then the host compares the disk. */
import { type Machine, type WorkloadResult, runDiskWorkload } from "xenolith";
import { TEST_GUEST } from "./boot";

export interface VerifyOptions {
  /** Default domU. */
  readonly domain?: string;
  /** 4 KiB blocks; default 32. */
  readonly blocks?: number;
  /** Operations in flight; default 8. */
  readonly depth?: number;
}

/** Runs it on the first disk of a domain. `verified` tells whether all is well. Throws MachineError when the guest dies. */
export function verifyDisk(machine: Machine, options: VerifyOptions = {}): WorkloadResult {
  return runDiskWorkload(machine, options.domain ?? TEST_GUEST, options.blocks ?? 32, options.depth ?? 8);
}
