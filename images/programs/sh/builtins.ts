/** Commands that act on the shell itself. */
import { program_names, wait_program } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFMT, S_IFREG, kern_path } from "xenolith/linux/fs";
import { kasprintf } from "xenolith/linux/printk";
import { type Sleeps, current } from "xenolith/linux/sched";
import { strerror } from "../lib/strerror";
import type { builtin, shell } from "./shell";

/** A path without `.`, `..` and double slashes. */
export function normalise(path: string): string {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}

const cd: builtin = function* (sh, argv, io) {
  const to = argv[1] === "-" ? sh.value("OLDPWD") : argv[1] ?? "/";
  const path = normalise(to.startsWith("/") ? to : `${current().pwd}/${to}`);
  const node = kern_path(path);
  if (IS_ERR(node) || (node.i_mode & S_IFMT) !== S_IFDIR) {
    yield* io.error(`sh: cd: ${to}: ${IS_ERR(node) ? strerror(PTR_ERR(node)) : "Not a directory"}\n`);
    return 1;
  }
  sh.variables.set("OLDPWD", current().pwd);
  sh.variables.set("PWD", path);
  current().pwd = path;
  if (argv[1] === "-") yield* io.write(`${path}\n`);
  return 0;
};

const pwd: builtin = function* (_sh, _argv, io) {
  yield* io.write(`${current().pwd}\n`);
  return 0;
};

/** A whole number from 0 to `most`, or -1. */
function number_of(text: string, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : -1;
  return value <= most ? value : -1;
}

const exit: builtin = function* (sh, argv, io) {
  const status = argv.length > 1 ? number_of(argv[1], 255) : sh.status;
  if (status < 0) yield* io.error(`sh: exit: ${argv[1]}: numeric argument required\n`);
  sh.leaving = "exit";
  return status < 0 ? 2 : status;
};

/** break and continue. */
const leave_loop: builtin = function* (sh, argv, io) {
  const levels = argv.length > 1 ? number_of(argv[1], 1000) : 1;
  if (levels < 1) {
    yield* io.error(`sh: ${argv[0]}: ${argv[1]}: numeric argument required\n`);
    return 2;
  }
  sh.leaving = argv[0] as "break" | "continue";
  sh.levels = levels;
  return 0;
};

/** export NAME=VALUE: there is no environment, so it sets the variable. */
const set_variables: builtin = function* (sh, argv, io) {
  for (const word of argv.slice(1)) {
    const match = /^([A-Za-z_]\w*)(?:=(.*))?$/s.exec(word);
    if (match === null) {
      yield* io.error(`sh: ${argv[0]}: ${word}: not a valid identifier\n`);
      return 1;
    }
    if (match[2] !== undefined) sh.variables.set(match[1], match[2]);
  }
  return 0;
};

const unset: builtin = function* (sh, argv) {
  for (const name of argv.slice(1)) sh.variables.delete(name);
  return 0;
};

const set: builtin = function* (sh, _argv, io) {
  const names = [...sh.variables.keys()].sort();
  for (const name of names) yield* io.write(`${name}='${sh.value(name).replaceAll("'", "'\\''")}'\n`);
  return 0;
};

const history: builtin = function* (sh, _argv, io) {
  for (let i = 0; i < sh.history.length; i++) yield* io.write(kasprintf("%5d  %s\n", i + 1, sh.history[i]));
  return 0;
};

const jobs: builtin = function* (sh, _argv, io) {
  for (const { number, task, text } of sh.jobs) {
    yield* io.write(`[${number}] ${task.exited.done === 0 ? "Running" : "Done"}\t${text}\n`);
  }
  return 0;
};

/** wait [PID...]: for all jobs, or some; the last one's status. */
const wait: builtin = function* (sh, argv) {
  const wanted = argv.slice(1);
  let status = 0;
  for (const job of [...sh.jobs]) {
    if (wanted.length > 0 && !wanted.includes(String(job.task.pid)) && !wanted.includes(`%${job.number}`)) continue;
    sh.jobs.splice(sh.jobs.indexOf(job), 1);
    status = yield* wait_program(job.task);
  }
  return status;
};

/** read NAME...: a line's words into variables, the rest into the last one; 1 at the end of the input. */
const read: builtin = function* (sh, argv, io) {
  let line = "";
  let end = false;
  for (;;) {
    const c = yield* io.read(1);
    if (c === "\n") break;
    end = c === "" || IS_ERR(c);
    if (end) break;
    line += c;
  }
  const names = argv.length > 1 ? argv.slice(1) : ["REPLY"];
  let rest = line.trim();
  for (let i = 0; i < names.length; i++) {
    const field = i === names.length - 1 ? rest : rest.split(/\s+/, 1)[0];
    sh.variables.set(names[i], field);
    rest = rest.slice(field.length).trimStart();
  }
  return end && line === "" ? 1 : 0;
};

const UNARY: Readonly<Record<string, (operand: string) => boolean>> = {
  "-n": (text) => text !== "",
  "-z": (text) => text === "",
  "-e": (path) => mode_of(path) !== 0,
  "-f": (path) => (mode_of(path) & S_IFMT) === S_IFREG,
  "-d": (path) => (mode_of(path) & S_IFMT) === S_IFDIR,
  "-b": (path) => (mode_of(path) & S_IFMT) === S_IFBLK,
  "-c": (path) => (mode_of(path) & S_IFMT) === S_IFCHR,
};
const BINARY: Readonly<Record<string, (left: string, right: string) => boolean>> = {
  "=": (left, right) => left === right,
  "!=": (left, right) => left !== right,
  "-eq": (left, right) => Number(left) === Number(right),
  "-ne": (left, right) => Number(left) !== Number(right),
  "-lt": (left, right) => Number(left) < Number(right),
  "-le": (left, right) => Number(left) <= Number(right),
  "-gt": (left, right) => Number(left) > Number(right),
  "-ge": (left, right) => Number(left) >= Number(right),
};

function mode_of(path: string): number {
  const node = kern_path(path);
  return IS_ERR(node) ? 0 : node.i_mode;
}

/** Whether an expression of test holds; null when it is none. */
function holds(words: readonly string[]): boolean | null {
  if (words[0] === "!" && words.length > 1) {
    const inner = holds(words.slice(1));
    return inner === null ? null : !inner;
  }
  if (words.length < 2) return words.length === 1 && words[0] !== "";
  if (words.length === 2) return Object.hasOwn(UNARY, words[0]) ? UNARY[words[0]](words[1]) : null;
  return words.length === 3 && Object.hasOwn(BINARY, words[1]) ? BINARY[words[1]](words[0], words[2]) : null;
}

/** test EXPRESSION, [ EXPRESSION ]. */
const test: builtin = function* (_sh, argv, io) {
  const bracket = argv[0] === "[";
  const words = argv.slice(1, bracket ? -1 : undefined);
  const result = bracket && argv[argv.length - 1] !== "]" ? null : holds(words);
  if (result !== null) return result ? 0 : 1;
  yield* io.error(`sh: ${argv[0]}: ${bracket && argv[argv.length - 1] !== "]" ? "missing `]'" : "bad expression"}\n`);
  return 2;
};

/** type NAME...: what a command is. */
const type: builtin = function* (_sh, argv, io) {
  let status = 0;
  for (const name of argv.slice(1)) {
    const what = Object.hasOwn(builtins, name)
      ? "is a shell builtin"
      : program_names().includes(name)
      ? "is a program of the image"
      : null;
    if (what !== null) yield* io.write(`${name} ${what}\n`);
    else yield* io.error(`sh: type: ${name}: not found\n`);
    if (what === null) status = 1;
  }
  return status;
};

const nothing: builtin = function* () {
  return 0;
};

export const builtins: Readonly<Record<string, builtin>> = {
  ":": nothing,
  "[": test,
  break: leave_loop,
  cd,
  continue: leave_loop,
  exit,
  export: set_variables,
  history,
  jobs,
  pwd,
  read,
  set,
  test,
  type,
  unset,
  wait,
};

/** Says which background jobs have ended, and forgets them. Sleeps. */
export function* report_jobs(sh: shell, say: (text: string) => Sleeps<unknown>): Sleeps<void> {
  for (const job of [...sh.jobs]) {
    if (job.task.exited.done === 0) continue;
    sh.jobs.splice(sh.jobs.indexOf(job), 1);
    const status = yield* wait_program(job.task);
    yield* say(`[${job.number}] ${status === 0 ? "Done" : `Exit ${status}`}\t${job.text}\n`);
  }
}
