/**
 * A store that is too simple to be wrong: a Map that is copied whole for every transaction. One permission for all.
 */

/** What a client does. `slot` names an open transaction of the client, or -1 for none. */
export type Step =
  | {
      readonly kind: "read" | "directory" | "mkdir" | "rm";
      readonly client: number;
      readonly slot: number;
      readonly path: string;
    }
  | {
      readonly kind: "write";
      readonly client: number;
      readonly slot: number;
      readonly path: string;
      readonly value: string;
    }
  | { readonly kind: "start"; readonly client: number }
  | { readonly kind: "end"; readonly client: number; readonly slot: number; readonly commit: boolean };

/** A step on the tree, and what it answered inside of its transaction. */
export interface Done {
  readonly step: Step;
  readonly result: string;
}

/** Paths to values; every path's parent is there. Order is that of insertion. */
export class ModelTree {
  constructor(readonly nodes: Map<string, string>) {}

  copy(): ModelTree {
    return new ModelTree(new Map(this.nodes));
  }

  /** Carries out a tree step. Names of a directory are sorted. */
  run(step: Step): string {
    if (step.kind === "start" || step.kind === "end") return "OK";
    const { path } = step;
    const exists = this.nodes.has(path);
    if (step.kind === "read") return this.nodes.get(path) ?? "ENOENT";
    if (step.kind === "directory") return exists ? this.names(path).sort().join(" ") : "ENOENT";
    if (step.kind === "rm") return this.rm(path);
    this.makeParents(path);
    if (step.kind === "write") this.nodes.set(path, step.value);
    else if (!exists) this.nodes.set(path, "");
    return "OK";
  }

  /** Paths whose watches fire for the step, if it succeeds on this tree. */
  changes(step: Step): { path: string; gone: string[] } | null {
    if (step.kind === "write" || (step.kind === "mkdir" && !this.nodes.has(step.path)))
      return { path: step.path, gone: [] };
    if (step.kind !== "rm" || !this.nodes.has(step.path)) return null;
    return { path: step.path, gone: [...this.nodes.keys()].filter((path) => path.startsWith(`${step.path}/`)) };
  }

  private names(path: string): string[] {
    const below = [...this.nodes.keys()].filter((other) => other.startsWith(`${path}/`));
    return below.map((other) => other.slice(path.length + 1)).filter((name) => !name.includes("/"));
  }

  private rm(path: string): string {
    if (!this.nodes.has(path)) return this.nodes.has(path.slice(0, path.lastIndexOf("/"))) ? "OK" : "ENOENT";
    for (const other of [...this.nodes.keys()]) {
      if (other === path || other.startsWith(`${path}/`)) this.nodes.delete(other);
    }
    return "OK";
  }

  private makeParents(path: string): void {
    for (let slash = path.indexOf("/", 1); slash >= 0; slash = path.indexOf("/", slash + 1)) {
      const parent = path.slice(0, slash);
      if (!this.nodes.has(parent)) this.nodes.set(parent, "");
    }
  }
}

/** Whether one path is the other, or lies above or below it. */
export function related(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
}
