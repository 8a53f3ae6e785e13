/**
 * Kernel command lines, looked through before a machine is made. A guest takes an unknown word as Linux does, with a line in its log; whoever
 * wrote the word wants to hear of it at once.
 */
import { errorKernelParameter, errorKernelParameterValue, errorModuleParameter, errorNoModule } from "../errors";
import type { ImageManifest, ModuleParameter } from "../image/format";

/** What the kernel itself takes (`kernel/early_params.ts`, core and built-in parameters); a test compares the two. */
export const KERNEL_PARAMETERS = [
  "debug",
  "free_per_iteration=",
  "loglevel=",
  "modules=",
  "nostack",
  "page_owner=",
  "page_poison=",
  "quiet",
  "random.seed=",
];

const INTEGERS = ["byte", "short", "ushort", "int", "uint", "long", "ulong"];
const INTEGER = /^-?(0x[0-9a-f]+|\d+)$/i;
const BOOLEAN = /^(y|n|yes|no|true|false|t|f|1|0|on|off)$/i;

/** Names are equal when they differ in dashes and underscores only. */
function canonical(name: string): string {
  return name.replace(/-/g, "_");
}

/** Checks a command line. Throws UserError that names the word and the nearest that would do; `origin` says where it was written. */
export function checkKernelParameters(origin: string, commandLine: string, manifest: ImageManifest): void {
  for (const match of commandLine.matchAll(/(?:"[^"]*"?|[^\s"])+/g)) {
    const word = match[0].replace(/"/g, "");
    // What follows is for the first program.
    if (word === "--") return;
    checkWord(origin, word, manifest);
  }
}

function checkWord(origin: string, word: string, manifest: ImageManifest): void {
  const equals = word.indexOf("=");
  const name = equals < 0 ? word : word.slice(0, equals);
  if (KERNEL_PARAMETERS.includes(equals < 0 ? canonical(name) : `${canonical(name)}=`)) return;
  const dot = name.indexOf(".");
  if (dot < 0) throw errorKernelParameter(origin, word, equals < 0 ? name : `${name}=`, KERNEL_PARAMETERS);
  const modules = manifest.bundles.filter(({ kind }) => kind === "modules");
  const module = modules.find((bundle) => canonical(bundle.name) === canonical(name.slice(0, dot)));
  if (module === undefined) {
    throw errorNoModule(
      name.slice(0, dot),
      modules.map((bundle) => canonical(bundle.name)),
    );
  }
  const own = module.params.find((param) => canonical(param.name) === canonical(name.slice(dot + 1)));
  const names = module.params.map((param) => `${canonical(module.name)}.${param.name}`);
  if (own === undefined) throw errorModuleParameter(origin, word, name, names);
  checkValue(origin, word, own, equals < 0 ? null : word.slice(equals + 1));
}

/** A bare name is a boolean that is on. Parameters with a parser of their own judge for themselves. */
function checkValue(origin: string, word: string, { type }: ModuleParameter, value: string | null): void {
  if (INTEGERS.includes(type) && !INTEGER.test(value ?? "")) {
    throw errorKernelParameterValue(origin, word, `a whole number (${type})`);
  }
  if (type.endsWith("bool") && value !== null && !BOOLEAN.test(value)) {
    throw errorKernelParameterValue(origin, word, "y or n");
  }
}
