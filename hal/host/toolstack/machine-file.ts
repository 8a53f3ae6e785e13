/**
 * Machine files: which domains, disks, costs and seed a machine has. The format is `images/machines/machine.schema.json`, version 1.
 *
 * A file is an allegation of its author: everything is checked here, and every complaint names the file, the key and what would be right.
 */
import { validate } from "virtual:machine-schema";
import type { ErrorObject } from "ajv";
import * as fs from "node:fs";
import { errorMachineFile, errorNoFile, suggestion } from "../errors";
import { COST_PRESETS, COST_PRESET_DEFAULT } from "../hypervisor/costs";
import { parseSize } from "./disk-spec";
import type { DomainAction, DomainPolicy } from "./domain-actions";

/** One domain of a machine file, with its defaults filled in. */
export interface DomainConfig extends DomainPolicy {
  readonly name: string;
  /** Bytes of RAM. */
  readonly memoryBytes: number;
  readonly vcpus: number;
  /** Bytes of JavaScript heap. */
  readonly heapBytes: number;
  readonly cmdline: string;
  readonly modules: readonly string[];
  /** Disk specifications in xl's syntax. */
  readonly disks: readonly string[];
}

/** A whole machine file, with its defaults filled in. */
export interface MachineConfig {
  readonly seed: number;
  readonly quantumNs: number;
  readonly costs: { readonly preset?: string } & Readonly<Record<string, number | string>>;
  readonly domains: readonly DomainConfig[];
}

interface MachineFile {
  seed: number;
  quantumNs: number;
  costs?: MachineConfig["costs"];
  domains: {
    name: string;
    memory: string;
    vcpus: number;
    heap: string;
    cmdline: string;
    modules: string[];
    disks: string[];
    on_poweroff?: DomainAction;
    on_reboot?: DomainAction;
    on_crash?: DomainAction;
  }[];
}

/** Bytes of RAM that a domain needs for its own pages at least. */
const MEMORY_BYTES_MIN = 1 << 20;
const MEMORY_BYTES_MAX = 1 << 30;

/** Reads and checks a machine file. Throws UserError. */
export function readMachineFile(file: string): MachineConfig {
  if (fs.statSync(file, { throwIfNoEntry: false }) === undefined) throw errorNoFile("machine file", file);
  return parseMachineFile(fs.readFileSync(file, "utf8"), file);
}

/** Checks the text of a machine file; `file` is what complaints call it. Throws UserError. */
export function parseMachineFile(text: string, file: string): MachineConfig {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw errorMachineFile(file, "JSON", (error as Error).message);
  }
  if (!validate(parsed)) throw complaint(file, (validate.errors as ErrorObject[])[0]);
  const machine = parsed as MachineFile;
  const domains = machine.domains.map((domain, index) => ({
    name: domain.name,
    memoryBytes: sizeOf(file, `domains[${index}].memory`, domain.memory, MEMORY_BYTES_MIN),
    vcpus: domain.vcpus,
    heapBytes: sizeOf(file, `domains[${index}].heap`, domain.heap, MEMORY_BYTES_MIN),
    cmdline: domain.cmdline,
    modules: domain.modules,
    disks: domain.disks,
    ...policyOf(domain),
  }));
  checkDom0(file, machine.domains[0]);
  checkNames(file, domains);
  checkCosts(file, machine.costs ?? {});
  return { seed: machine.seed, quantumNs: machine.quantumNs, costs: machine.costs ?? {}, domains };
}

function policyOf({ on_poweroff, on_reboot, on_crash }: MachineFile["domains"][number]): DomainPolicy {
  return {
    ...(on_poweroff === undefined ? {} : { onPoweroff: on_poweroff }),
    ...(on_reboot === undefined ? {} : { onReboot: on_reboot }),
    ...(on_crash === undefined ? {} : { onCrash: on_crash }),
  };
}

/** The machine ends with its first domain, whatever that may want. */
function checkDom0(file: string, dom0: MachineFile["domains"][number]): void {
  const key = (["on_poweroff", "on_reboot", "on_crash"] as const).find((name) => dom0[name] !== undefined);
  if (key !== undefined) throw errorMachineFile(file, `domains[0].${key}`, "the machine ends with its first domain");
}

function complaint(file: string, error: ErrorObject): Error {
  const where =
    error.instancePath
      .slice(1)
      .replace(/\/(\d+)/g, "[$1]")
      .replace(/\//g, ".") || "the file";
  if (error.keyword === "additionalProperties") {
    const key = (error.params as { additionalProperty: string }).additionalProperty;
    const known = Object.keys((error.parentSchema as { properties: object }).properties);
    return errorMachineFile(file, where, `key "${key}" is unknown${suggestion(key, known)}`);
  }
  if (error.keyword === "enum") {
    const { allowedValues } = error.params as { allowedValues: string[] };
    return errorMachineFile(
      file,
      where,
      `${JSON.stringify(error.data)} is unknown${suggestion(String(error.data), allowedValues)}`,
    );
  }
  if (error.keyword === "const") {
    const { allowedValue } = error.params as { allowedValue: unknown };
    return errorMachineFile(
      file,
      where,
      `is ${JSON.stringify(error.data)}; this program reads ${String(allowedValue)}`,
    );
  }
  return errorMachineFile(file, where, `${JSON.stringify(error.data)} ${error.message ?? "is wrong"}`);
}

function sizeOf(file: string, where: string, text: string, bytesMin: number): number {
  const bytes = parseSize(text) ?? 0;
  if (bytes < bytesMin || bytes > MEMORY_BYTES_MAX || bytes % 4096 !== 0) {
    throw errorMachineFile(file, where, `"${text}" is not between 1M and 1G in whole pages`);
  }
  return bytes;
}

/** Presets and names are the hypervisor's; the schema knows the values. */
function checkCosts(file: string, { preset = COST_PRESET_DEFAULT, ...changes }: MachineConfig["costs"]): void {
  const presets = Object.keys(COST_PRESETS);
  if (!presets.includes(preset)) {
    throw errorMachineFile(file, "costs.preset", `"${preset}" is unknown${suggestion(preset, presets)}`);
  }
  const known = Object.keys(COST_PRESETS[preset]);
  for (const name of Object.keys(changes)) {
    if (known.includes(name)) continue;
    throw errorMachineFile(file, "costs", `key "${name}" is unknown${suggestion(name, known)}`);
  }
}

function checkNames(file: string, domains: readonly DomainConfig[]): void {
  const seen = new Set<string>();
  domains.forEach(({ name }, index) => {
    if (seen.has(name)) throw errorMachineFile(file, `domains[${index}].name`, `"${name}" is taken by another domain`);
    seen.add(name);
  });
}
