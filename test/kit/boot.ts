/**
 * Booting a machine for a test: every option has a default, and the defaults are the smallest machine that does the main job: dom0 with the back
 * end, one guest with the front end and a RAM disk, one vCPU each.
 *
 *   const machine = await bootMachine({ disks: ["ram:1M,raw,xvda,w"] });
 *   expect(machine.run("domU", "lsblk").output).toContain("xvda");
 */
import {
  type DomainConfig,
  type EngineName,
  type Flavour,
  type HostDisk,
  type Image,
  type LogLine,
  Machine,
  type MachineConfig,
  parseMachineFile,
} from "xenolith";
import { packageImage } from "./image";

/** A disk object of the test's own behind a specification, whose target is then not opened. */
export interface TestDisk {
  readonly spec: string;
  readonly disk: HostDisk;
}

/** A guest beside dom0. What is left out is the machine file's default. */
export type GuestOptions = Partial<DomainConfig> & { readonly name: string };

/** What a test may choose about its machine. */
export interface BootOptions {
  /** Default: the package's own. */
  readonly image?: Image;
  /** Default "quickjs". */
  readonly engine?: EngineName;
  /** Default "debug". */
  readonly flavour?: Flavour;
  /** Default: the environment's XENOLITH_SEED, or 1. */
  readonly seed?: number;
  /** vCPUs of every domain; default 1. */
  readonly vcpus?: number;
  /** Disks of the first guest; default one RAM disk of 1 MiB, xvda. */
  readonly disks?: readonly (string | TestDisk)[];
  /** Guests; default one, domU. Their own disks are added to `disks`. */
  readonly guests?: readonly GuestOptions[];
  /** What differs for dom0. */
  readonly dom0?: Partial<DomainConfig>;
  /** Words to append to kernel command lines, by domain name. */
  readonly append?: Readonly<Record<string, string>>;
  /** Virtual costs that differ from the machine file's default. */
  readonly costs?: MachineConfig["costs"];
  /** Default "hash". */
  readonly trace?: "hash" | "keep" | "off";
  /** "overlay" keeps what is written to disk files in memory; default "file". */
  readonly diskWrites?: "file" | "overlay";
  readonly onLog?: (line: LogLine) => void;
  /** Called at each step of the boot. */
  readonly onPhase?: (name: string) => void;
}

/** The disk that a machine gets when a test does not care. */
export const TEST_DISK = "ram:1M,raw,xvda,w";
/** The guest that a machine has when a test does not care. */
export const TEST_GUEST = "domU";
/** Largest seed. */
const SEED_MAX = 0xffffffff;

/** The seed of machines whose test does not name one: XENOLITH_SEED of the environment, or 1. Throws RangeError for one that is none. */
export function defaultSeed(): number {
  const text = process.env["XENOLITH_SEED"] ?? "1";
  const seed = Number(text);
  if (/^\d+$/.test(text) && seed <= SEED_MAX) return seed;
  throw new RangeError(`XENOLITH_SEED is "${text}", not a whole number from 0 to ${SEED_MAX}`);
}

/** Makes a machine and boots it until every disk is connected. The caller disposes of it. Throws UserError or MachineError. */
export async function bootMachine(options: BootOptions = {}): Promise<Machine> {
  const machine = await createMachine(options);
  try {
    machine.boot();
  } catch (error) {
    machine.dispose();
    throw error;
  }
  return machine;
}

/** Makes a machine that has not run yet. The caller disposes of it. Throws UserError. */
export async function createMachine(options: BootOptions = {}): Promise<Machine> {
  const { append, trace, diskWrites, onLog, onPhase } = options;
  const config = testConfig(options);
  const machine = await Machine.create({
    image: options.image ?? packageImage(),
    config,
    engine: options.engine ?? "quickjs",
    flavour: options.flavour ?? "debug",
    ...(append === undefined ? {} : { append }),
    ...(trace === undefined ? {} : { trace }),
    ...(diskWrites === undefined ? {} : { diskWrites }),
    ...(onLog === undefined ? {} : { onLog }),
    ...(onPhase === undefined ? {} : { onPhase }),
  });
  try {
    for (const { spec, disk } of testDisks(options)) machine.attachDisk(config.domains[1].name, spec, disk);
  } catch (error) {
    machine.dispose();
    throw error;
  }
  return machine;
}

/** The machine file that the options stand for, with all defaults filled in. Throws UserError. */
export function testConfig(options: BootOptions = {}): MachineConfig {
  const { costs } = options;
  const guests = options.guests ?? [{ name: TEST_GUEST }];
  const names = ["dom0", ...guests.map(({ name }) => name)];
  const file = { version: 1, seed: options.seed ?? defaultSeed(), domains: names.map((name) => ({ name })) };
  const config = parseMachineFile(JSON.stringify(costs === undefined ? file : { ...file, costs }), "(test)");
  const common = { vcpus: options.vcpus ?? 1 };
  const changes: Partial<DomainConfig>[] = [{ modules: ["hostdisk", "xen-blkback"], ...options.dom0 }];
  // A guest that crashed stays, so that the test can look at it.
  for (const guest of guests) changes.push({ modules: ["xen-blkfront"], onCrash: "preserve", ...guest });
  if (guests.length > 0) changes[1] = { ...changes[1], disks: firstDisks(options, changes[1].disks ?? []) };
  const domains = config.domains.map((domain, index) => ({ ...domain, ...common, ...changes[index] }));
  return { ...config, domains };
}

function firstDisks({ disks }: BootOptions, own: readonly string[]): string[] {
  const given = disks ?? (own.length === 0 ? [TEST_DISK] : []);
  return [...given.filter((disk): disk is string => typeof disk === "string"), ...own];
}

function testDisks({ disks = [] }: BootOptions): TestDisk[] {
  return disks.filter((disk): disk is TestDisk => typeof disk !== "string");
}
