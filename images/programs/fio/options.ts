/** A job's options: `--key=value` on the command line, or `key=value` lines under `[name]` in a job file, with those under `[global]` before. */

export const MODES = ["read", "write", "randread", "randwrite", "rw", "readwrite", "randrw"] as const;
export type mode = (typeof MODES)[number];

export interface job_options {
  name: string;
  filename: string;
  rw: mode;
  /** Bytes of one I/O. */
  bs: number;
  /** I/Os in flight. */
  iodepth: number;
  /** Bytes of the file that are used; 0: all from `offset` on. */
  size: number;
  offset: number;
  /** I/Os to do; 0: as many as `size` has blocks. */
  number_ios: number;
  /** Virtual nanoseconds after which it stops; 0: never. */
  runtime: number;
  /** "" or crc32c. */
  verify: string;
  randseed: number;
  /** Percent of the I/Os of a mixed job that read. */
  rwmixread: number;
}

const DEFAULTS: job_options = {
  name: "",
  filename: "",
  rw: "read",
  bs: 4096,
  iodepth: 1,
  size: 0,
  offset: 0,
  number_ios: 0,
  runtime: 0,
  verify: "",
  randseed: 0x8989,
  rwmixread: 50,
};

/** What a job file may say although it makes no difference here. */
const IGNORED = [
  "ioengine",
  "direct",
  "group_reporting",
  "thread",
  "time_based",
  "do_verify",
  "buffered",
  "norandommap",
];

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 * 1024, g: 1024 * 1024 * 1024 };
const TIMES: Readonly<Record<string, number>> = { us: 1e3, ms: 1e6, "": 1e9, s: 1e9, m: 60e9 };
/** Largest I/O: one bio's worth of pages. */
const BS_MAX = 1024 * 1024;

/** `4k`, `1M`, `512`: bytes, or -1. */
function bytes_of(text: string): number {
  const match = /^(\d+)([kmg]?)(?:i?b)?$/.exec(text.toLowerCase());
  return match === null ? -1 : Number(match[1]) * UNITS[match[2]];
}

function time_of(text: string): number {
  const match = /^(\d+)(us|ms|s|m|)$/.exec(text);
  return match === null ? -1 : Number(match[1]) * TIMES[match[2]];
}

function number_of(text: string, low: number, high: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : -1;
  return value >= low && value <= high ? value : -1;
}

/** Sets one option. Returns a complaint, or null. */
function set_option(job: job_options, key: string, value: string): string | null {
  const bad = `fio: failed parsing ${key}=${value}`;
  const keep = (
    name: "bs" | "iodepth" | "size" | "offset" | "number_ios" | "runtime" | "randseed" | "rwmixread",
    n: number,
  ) => {
    job[name] = n;
    return n < 0 ? bad : null;
  };
  switch (key) {
    case "name":
    case "filename":
      job[key] = value;
      return null;
    case "rw":
    case "readwrite":
      job.rw = value as mode;
      return MODES.includes(job.rw) ? null : `${bad}; known: ${MODES.join(", ")}`;
    case "verify":
      job.verify = value === "0" ? "" : value;
      return job.verify === "" || value === "crc32c" ? null : `${bad}; known: crc32c`;
    case "bs":
    case "blocksize": {
      const bs = bytes_of(value);
      return keep("bs", bs > 0 && bs % 512 === 0 && bs <= BS_MAX ? bs : -1);
    }
    case "size":
    case "offset":
      return keep(key, bytes_of(value));
    case "runtime":
      return keep("runtime", time_of(value));
    case "iodepth":
      return keep("iodepth", number_of(value, 1, 4096));
    case "number_ios":
      return keep("number_ios", number_of(value, 1, 0x7fffffff));
    case "randseed":
      return keep("randseed", number_of(value, 0, 0xffffffff));
    case "rwmixread":
      return keep("rwmixread", number_of(value, 0, 100));
    default:
      return IGNORED.includes(key) ? null : `fio: unrecognized option '${key}'`;
  }
}

function pair_of(text: string): [string, string] {
  const equals = text.indexOf("=");
  return equals < 0 ? [text.trim(), "1"] : [text.slice(0, equals).trim(), text.slice(equals + 1).trim()];
}

/** Jobs of a job file, or a complaint. */
export function parse_job_file(text: string): job_options[] | string {
  const common = { ...DEFAULTS };
  const jobs: job_options[] = [];
  let current: job_options = common;
  for (const line of text.split("\n").map((raw) => raw.trim())) {
    if (line === "" || line.startsWith(";") || line.startsWith("#")) continue;
    const section = /^\[(.+)\]$/.exec(line);
    if (section !== null) {
      current = section[1] === "global" ? common : { ...common, name: section[1] };
      if (current !== common) jobs.push(current);
      continue;
    }
    const complaint = set_option(current, ...pair_of(line));
    if (complaint !== null) return complaint;
  }
  return jobs;
}

export interface command_line {
  readonly jobs: job_options[];
  /** Job files, `-` for standard input. */
  readonly files: readonly string[];
}

/** What is on the command line; each `--name` after the first begins another job. */
export function parse_words(words: readonly string[]): command_line | string {
  const jobs: job_options[] = [];
  const files: string[] = [];
  let current: job_options | null = null;
  for (const word of words) {
    if (word === "-" || !word.startsWith("-")) {
      files.push(word);
      continue;
    }
    const [key, value] = pair_of(word.replace(/^--?/, ""));
    if (current === null || (key === "name" && current.name !== "")) {
      current = { ...DEFAULTS };
      jobs.push(current);
    }
    const complaint = set_option(current, key, value);
    if (complaint !== null) return complaint;
  }
  return { jobs, files };
}
