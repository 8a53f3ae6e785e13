/** Matches what modules need with what the kernel and other modules export, as modpost does after linking. */
import type { BundleManifest } from "../hal/host/image/format";
import { compareText } from "./sources";

export interface Resolution {
  /** The same bundles, in the same order, with `depends` filled in. */
  readonly bundles: readonly BundleManifest[];
  /** Symbols that nobody exports, one line each. */
  readonly unresolved: readonly string[];
  /** Symbols that two bundles export, and circles of dependencies, one line each. */
  readonly conflicts: readonly string[];
}

/** Fills in `depends` and says what cannot be linked. */
export function resolveSymbols(bundles: readonly BundleManifest[]): Resolution {
  const owners = new Map<string, string>();
  const conflicts: string[] = [];
  for (const { name, exports } of bundles) {
    for (const symbol of exports) {
      const other = owners.get(symbol);
      if (other !== undefined) conflicts.push(`${symbol} is exported by ${other} and by ${name}`);
      else owners.set(symbol, name);
    }
  }
  const unresolved = bundles.flatMap(({ name, undefined: needed }) =>
    needed.filter((symbol) => !owners.has(symbol)).map((symbol) => `${symbol} undefined, needed by ${name}`),
  );
  const resolved = bundles.map((bundle) => ({ ...bundle, depends: dependsOf(bundle, owners) }));
  conflicts.push(...circles(resolved));
  return { bundles: resolved, unresolved, conflicts };
}

function dependsOf(bundle: BundleManifest, owners: ReadonlyMap<string, string>): string[] {
  const names = bundle.undefined.map((symbol) => owners.get(symbol));
  const others = names.filter((name) => name !== undefined && name !== "kernel" && name !== bundle.name);
  return [...new Set(others as string[])].sort(compareText);
}

/** Circles of dependencies: such modules could never be loaded. */
function circles(bundles: readonly BundleManifest[]): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const byName = new Map(bundles.map((bundle) => [bundle.name, bundle]));
  const visit = (name: string, above: readonly string[]): void => {
    if (above.includes(name))
      found.push(`circular dependency: ${[...above.slice(above.indexOf(name)), name].join(" -> ")}`);
    if (done.has(name) || above.includes(name)) return;
    for (const next of byName.get(name)?.depends ?? []) visit(next, [...above, name]);
    done.add(name);
  };
  for (const { name } of bundles) visit(name, []);
  return found;
}
