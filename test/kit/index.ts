/**
 * `xenolith/kit`: whole machines in tests, with vitest.
 *
 *   import { onEveryEngine, verifyDisk } from "xenolith/kit";
 */
export { type BootOptions, type GuestOptions, type TestDisk } from "./boot";
export { TEST_DISK, TEST_GUEST, bootMachine, createMachine, defaultSeed, testConfig } from "./boot";
export { type DiskFile, type Tampering, makeDiskFile, ramBytes, tamperedDisk } from "./disks";
export { packageImage } from "./image";
export { type MachineLedger, type StoreLedger, checkLedger, compareLedgers, settle, takeLedger } from "./ledger";
export { complaints, searchLog } from "./log";
export { replayLine } from "./replay";
export { type Suite, onEngine, onEveryEngine } from "./suite";
export { type VerifyOptions, verifyDisk } from "./workload";
