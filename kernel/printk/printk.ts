/**
 * The kernel log: a ring of messages with level and virtual time, and the console that shows those below `loglevel`.
 *
 *   printk ─► level prefix, vsnprintf ─► whole lines ─► ring ─► console_write `<level>[    0.000000] text`
 *
 * Text without a newline waits for its continuation (`pr_cont`) or for the next message.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { local_clock, NSEC_PER_SEC } from "xenolith/linux/ktime";
import type { printk_record } from "xenolith/linux/printk";
import { vsnprintf } from "../lib/vsprintf";
import { cpus } from "../sched/cpu";
import { console_write } from "./console";

/** Messages that are kept. */
const LOG_RECORDS_MAX = 1024;
const LEVEL_DEFAULT = 4;
const LEVEL_DEBUG = 7;
const RATELIMIT_BURST = 10;
const RATELIMIT_INTERVAL_NS = 5 * NSEC_PER_SEC;

const records: printk_record[] = [];
let first_seq = 0;
let console_loglevel = 7;
let debug_on = false;
let partial: { level: number; text: string; ts_nsec: number } | null = null;

/** Messages of a level below this go to the console (`loglevel=`); with `debug` all do, and pr_debug logs. */
export function set_console_loglevel(level: number, with_debug: boolean): void {
  console_loglevel = level;
  debug_on = with_debug;
}

function store(level: number, text: string, ts_nsec: number): void {
  const record = { seq: first_seq + records.length, ts_nsec, level, text };
  records.push(record);
  if (records.length > LOG_RECORDS_MAX) {
    records.shift();
    first_seq++;
  }
  if (level < console_loglevel) console_write(`<${level}>${printk_format(record)}\n`);
}

function flush_partial(): void {
  if (partial === null) return;
  const { level, text, ts_nsec } = partial;
  partial = null;
  store(level, text, ts_nsec);
}

/** Takes formatted text: whole lines are stored, the rest waits. */
function emit(level: number, text: string): void {
  const ts_nsec = cpus.length > 0 ? local_clock() : 0;
  flush_partial();
  append(level, text, ts_nsec);
}

function append(level: number, text: string, ts_nsec: number): void {
  const lines = text.split("\n");
  const rest = lines.pop() as string;
  for (const line of lines) {
    if (partial === null) store(level, line, ts_nsec);
    else {
      partial.text += line;
      flush_partial();
    }
  }
  if (rest === "") return;
  if (partial === null) partial = { level, text: rest, ts_nsec };
  else partial.text += rest;
}

export function printk(fmt: string, ...args: unknown[]): number {
  const has_prefix = fmt.charCodeAt(0) === 1;
  const level = has_prefix ? fmt[1] : "";
  const text = vsnprintf(has_prefix ? fmt.slice(2) : fmt, args);
  if (level === "c") pr_cont("%s", text);
  else emit(level === "" ? LEVEL_DEFAULT : Number(level), text);
  return text.length;
}
EXPORT_SYMBOL(printk);

export function pr_emerg(fmt: string, ...args: unknown[]): void {
  emit(0, vsnprintf(fmt, args));
}
EXPORT_SYMBOL(pr_emerg);

export function pr_alert(fmt: string, ...args: unknown[]): void {
  emit(1, vsnprintf(fmt, args));
}
EXPORT_SYMBOL(pr_alert);

export function pr_crit(fmt: string, ...args: unknown[]): void {
  emit(2, vsnprintf(fmt, args));
}
EXPORT_SYMBOL(pr_crit);

export function pr_err(fmt: string, ...args: unknown[]): void {
  emit(3, vsnprintf(fmt, args));
}
EXPORT_SYMBOL(pr_err);

export function pr_warn(fmt: string, ...args: unknown[]): void {
  emit(4, vsnprintf(fmt, args));
}
EXPORT_SYMBOL(pr_warn);

export function pr_notice(fmt: string, ...args: unknown[]): void {
  emit(5, vsnprintf(fmt, args));
}
EXPORT_SYMBOL(pr_notice);

export function pr_info(fmt: string, ...args: unknown[]): void {
  emit(6, vsnprintf(fmt, args));
}
EXPORT_SYMBOL(pr_info);

export function pr_cont(fmt: string, ...args: unknown[]): void {
  append(LEVEL_DEFAULT, vsnprintf(fmt, args), local_clock());
}
EXPORT_SYMBOL(pr_cont);

export function pr_debug(fmt: string, ...args: unknown[]): void {
  if (debug_on) emit(LEVEL_DEBUG, vsnprintf(fmt, args));
}
EXPORT_SYMBOL(pr_debug);

export function pr_debug_enabled(): boolean {
  return debug_on;
}
EXPORT_SYMBOL(pr_debug_enabled);

interface ratelimit {
  begin_ns: number;
  printed: number;
  missed: number;
}

const limits = new Map<string, ratelimit>();

/** Whether a message of this format may be printed now. Says how many were not when a new interval begins. */
function ratelimit_allows(fmt: string): boolean {
  const now = local_clock();
  let limit = limits.get(fmt);
  if (limit === undefined || now - limit.begin_ns >= RATELIMIT_INTERVAL_NS) {
    if (limit !== undefined && limit.missed > 0) emit(LEVEL_DEFAULT, `${limit.missed} callbacks suppressed\n`);
    limit = { begin_ns: now, printed: 0, missed: 0 };
    limits.set(fmt, limit);
  }
  if (limit.printed < RATELIMIT_BURST) limit.printed++;
  else limit.missed++;
  return limit.missed === 0;
}

function emit_ratelimited(level: number, fmt: string, args: readonly unknown[]): void {
  if (ratelimit_allows(fmt)) emit(level, vsnprintf(fmt, args));
}

export function pr_alert_ratelimited(fmt: string, ...args: unknown[]): void {
  emit_ratelimited(1, fmt, args);
}
EXPORT_SYMBOL(pr_alert_ratelimited);

export function pr_err_ratelimited(fmt: string, ...args: unknown[]): void {
  emit_ratelimited(3, fmt, args);
}
EXPORT_SYMBOL(pr_err_ratelimited);

export function pr_warn_ratelimited(fmt: string, ...args: unknown[]): void {
  emit_ratelimited(4, fmt, args);
}
EXPORT_SYMBOL(pr_warn_ratelimited);

export function pr_info_ratelimited(fmt: string, ...args: unknown[]): void {
  emit_ratelimited(6, fmt, args);
}
EXPORT_SYMBOL(pr_info_ratelimited);

const printed_once = new Set<string>();

function emit_once(level: number, fmt: string, args: readonly unknown[]): void {
  if (printed_once.has(fmt)) return;
  printed_once.add(fmt);
  emit(level, vsnprintf(fmt, args));
}

export function pr_warn_once(fmt: string, ...args: unknown[]): void {
  emit_once(4, fmt, args);
}
EXPORT_SYMBOL(pr_warn_once);

export function pr_info_once(fmt: string, ...args: unknown[]): void {
  emit_once(6, fmt, args);
}
EXPORT_SYMBOL(pr_info_once);

export function printk_read(seq: number): printk_record | null {
  return records[Math.max(seq - first_seq, 0)] ?? null;
}
EXPORT_SYMBOL(printk_read);

export function printk_format(record: printk_record): string {
  const seconds = Math.floor(record.ts_nsec / NSEC_PER_SEC);
  const micros = Math.floor((record.ts_nsec % NSEC_PER_SEC) / 1000);
  return `[${vsnprintf("%5d.%06d", [seconds, micros])}] ${record.text}`;
}
EXPORT_SYMBOL(printk_format);
