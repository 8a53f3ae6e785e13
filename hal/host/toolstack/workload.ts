/**
 * The verified workload: the guest writes and reads blocks (`images/programs/verify.ts`), then the host makes the same bytes from the guest's
 * account of what it wrote and compares the disk with them, byte for byte. The two ends share no code: only the format of a block.
 */
import type { Machine } from "../machine";
import { MachineError } from "../machine-error";

/** Bytes of one block. */
export const BLOCK_BYTES = 4096;
const MAGIC = 0x4b424c58;
const HEADER_WORDS = 8;
/** Differences that are described; all are counted. */
const DIFFERENCES_MAX = 8;

/** Reads `bytes.length` bytes of a disk from `offset` on, past all that runs in the machine. */
export type DiskReader = (offset: number, bytes: Uint8Array) => void;

export interface WorkloadOptions {
  readonly domain: string;
  /** Guest name: /dev/xvda. */
  readonly device: string;
  /** First block of the disk that is used; default 0. */
  readonly first?: number;
  /** Blocks that are used, from there on. */
  readonly blocks: number;
  readonly depth: number;
  readonly read: DiskReader;
}

/** What the guest measured, in virtual time, and what the comparison found. */
export interface WorkloadResult {
  readonly ops: number;
  /** Failed and wrong operations in the guest, and blocks in which the disk differs from what the guest believes. */
  readonly errors: number;
  /** Whether every block was read back right and the disk holds exactly what the guest believes. */
  readonly verified: boolean;
  readonly blocks: number;
  readonly depth: number;
  readonly iopsVirtual: number;
  readonly elapsedNs: number;
  readonly latencyNs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Complaints of both ends, at most a few. */
  readonly problems: readonly string[];
}

interface GuestReport {
  readonly ops: number;
  readonly errors: number;
  readonly verified: number;
  readonly iopsVirtual: number;
  readonly elapsedNs: number;
  readonly latencyNs: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** Runs the workload and compares the disk. Throws MachineError when the guest dies or gives no account. */
export function runWorkload(machine: Machine, options: WorkloadOptions): WorkloadResult {
  const { domain, device, first = 0, blocks, depth, read } = options;
  const before = new Uint8Array(blocks * BLOCK_BYTES);
  read(first * BLOCK_BYTES, before);
  const command = `verify ${device} first=${first} blocks=${blocks} depth=${depth} seed=${machine.seed}`;
  const { status, output } = machine.run(domain, command);
  const account = parseAccount(output, blocks);
  const after = new Uint8Array(blocks * BLOCK_BYTES);
  read(first * BLOCK_BYTES, after);
  const differences = compareDisk(before, after, account.generations, machine.seed, first);
  const problems = [...account.complaints, ...differences.slice(0, DIFFERENCES_MAX)];
  const { guest } = account;
  const errors = guest.errors + differences.length;
  return {
    ops: guest.ops,
    errors,
    verified: status === 0 && errors === 0 && guest.verified === blocks,
    blocks,
    depth,
    iopsVirtual: guest.iopsVirtual,
    elapsedNs: guest.elapsedNs,
    latencyNs: guest.latencyNs,
    problems,
  };
}

interface Account {
  readonly generations: Uint8Array;
  readonly guest: GuestReport;
  readonly complaints: string[];
}

/** Reads the guest's account. It is an allegation: whatever is missing counts as nothing written. */
function parseAccount(output: string, blocks: number): Account {
  const generations = new Uint8Array(blocks);
  const complaints: string[] = [];
  let guest: GuestReport | null = null;
  for (const line of output.split(/\r?\n/)) {
    const digits = /^generations (\d+) ([0-9]+)$/.exec(line);
    if (digits) [...digits[2]].forEach((digit, i) => (generations[Number(digits[1]) + i] = Number(digit)));
    if (line.startsWith("result ")) guest = parseReport(line.slice("result ".length));
    if (line.startsWith("verify: ")) complaints.push(line);
  }
  if (guest === null) throw new MachineError("stuck", `the workload gave no account: ${output.trim().slice(-500)}`);
  return { generations, guest, complaints };
}

function parseReport(text: string): GuestReport | null {
  try {
    return JSON.parse(text) as GuestReport;
  } catch {
    return null;
  }
}

/** One line for each block in which the disk, from block `first` on, is not what the guest believes. */
export function compareDisk(
  before: Uint8Array,
  after: Uint8Array,
  generations: Uint8Array,
  seed: number,
  first = 0,
): string[] {
  const problems: string[] = [];
  const expected = new Uint8Array(BLOCK_BYTES);
  generations.forEach((generation, index) => {
    const block = first + index;
    const start = index * BLOCK_BYTES;
    if (generation === 0) expected.set(before.subarray(start, start + BLOCK_BYTES));
    else makeBlock(expected, seed, block, generation);
    const found = after.subarray(start, start + BLOCK_BYTES);
    if (Buffer.compare(expected, found) === 0) return;
    const at = expected.findIndex((byte, i) => byte !== found[i]);
    problems.push(`disk: block ${block} differs from what the guest believes at byte ${at}`);
  });
  return problems;
}

/** The bytes of a block, made from the format alone. */
export function makeBlock(into: Uint8Array, seed: number, block: number, generation: number): void {
  const words = new Uint32Array(BLOCK_BYTES / 4);
  const first = murmur([block, generation, 1], seed);
  const step = (murmur([2], first) | 1) >>> 0;
  words.set([MAGIC, seed, block, generation, first, step, 0]);
  words[7] = murmur(words.subarray(0, 7));
  for (let i = HEADER_WORDS; i < words.length; i++) words[i] = first + Math.imul(i, step);
  into.set(new Uint8Array(words.buffer));
}

/** The body of MurmurHash3 (32 bit) over words, without its finish. */
function murmur(words: Iterable<number>, hash = 0): number {
  for (const word of words) {
    const scrambled = Math.imul(word, 0xcc9e2d51);
    const rotated = (scrambled << 15) | (scrambled >>> 17);
    hash ^= Math.imul(rotated, 0x1b873593);
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64;
  }
  return hash >>> 0;
}
