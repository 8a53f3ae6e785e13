/** Who may import whom, and what an import or export may look like. */
import { isBuiltin } from "node:module";
import ts from "typescript";
import { type Check, type Finding, type Project, descendants, findingAt, isGuest, isHost } from "./project";

/** One import, export-from or dynamic import. */
export interface Edge {
  readonly from: string;
  readonly specifier: string;
  /** The project file that it leads to, or null for a package. */
  readonly to: string | null;
  readonly typeOnly: boolean;
  readonly dynamic: boolean;
  readonly node: ts.Node;
}

interface Zone {
  readonly name: string;
  readonly files: RegExp;
  /** Project files that it may import. `$1` stands for the first group of `files`. */
  readonly may: readonly string[];
  /** Project files of which it may import types only. */
  readonly mayType?: readonly string[];
  readonly packages: "none" | "product" | "any";
}

const HEADERS = "kernel/include/";
/** Zones that import modules made by the build: the table of initcalls, the check of machine files. */
const GENERATED_FOR = ["kernel", "hal/host"];
const ENTRY_POINTS = ["hal/host/index.ts", "test/kit/index.ts", "build/index.ts"];

/** The table of the design; the first zone that matches a file holds. */
const ZONES: readonly Zone[] = [
  { name: "hal/abi", files: /^hal\/abi\//, may: ["hal/abi/"], packages: "none" },
  { name: "hal/guest", files: /^hal\/guest\//, may: ["hal/abi/", "hal/guest/"], packages: "none" },
  {
    name: "kernel/include",
    files: /^kernel\/include\//,
    may: [HEADERS, "hal/abi/"],
    mayType: ["hal/guest/"],
    packages: "none",
  },
  { name: "kernel", files: /^kernel\//, may: ["kernel/", "hal/abi/", "hal/guest/"], packages: "none" },
  {
    name: "drivers/xen",
    files: /^drivers\/xen\//,
    may: [HEADERS, "drivers/xen/", "hal/abi/", "hal/guest/"],
    packages: "none",
  },
  {
    name: "a driver",
    files: /^(drivers\/(?:block|tty)\/[^/]+\/)/,
    may: [HEADERS, "$1", "hal/abi/"],
    packages: "none",
  },
  { name: "a driver", files: /^drivers\//, may: [HEADERS, "hal/abi/"], packages: "none" },
  { name: "a program", files: /^images\/programs\//, may: [HEADERS, "images/programs/"], packages: "none" },
  {
    name: "hal/host/cli",
    files: /^hal\/host\/cli\//,
    may: ["hal/host/", "hal/abi/", "images/machines/", "build/index.ts", "package.json"],
    packages: "product",
  },
  {
    name: "hal/host",
    files: /^hal\/host\//,
    may: ["hal/host/", "hal/abi/", "images/machines/", "package.json"],
    packages: "product",
  },
  { name: "build", files: /^build\//, may: ["build/", "hal/host/", "hal/abi/"], packages: "any" },
  {
    name: "test/kit",
    files: /^test\/kit\//,
    may: ["test/kit/", "hal/abi/", HEADERS, ...ENTRY_POINTS, "kernel/", "hal/guest/"],
    packages: "any",
  },
];

/** Every import of a file. */
export function edgesOf(project: Project, source: ts.SourceFile): Edge[] {
  const from = project.pathOf(source);
  const edge = (node: ts.Node, specifier: ts.Expression, typeOnly: boolean, dynamic: boolean): Edge | null =>
    ts.isStringLiteralLike(specifier)
      ? { from, specifier: specifier.text, to: project.resolve(from, specifier.text), typeOnly, dynamic, node }
      : null;
  const edges: (Edge | null)[] = source.statements.map((node) => {
    if (ts.isImportDeclaration(node)) return edge(node, node.moduleSpecifier, isTypeImport(node), false);
    if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
      return edge(node, node.moduleSpecifier, isTypeExport(node), false);
    }
    return null;
  });
  if (source.text.includes("import(")) {
    for (const node of descendants(source)) {
      if (!ts.isCallExpression(node) || node.expression.kind !== ts.SyntaxKind.ImportKeyword) continue;
      edges.push(edge(node, node.arguments[0], false, true));
    }
  }
  return edges.filter((found) => found !== null);
}

function isTypeImport(node: ts.ImportDeclaration): boolean {
  const clause = node.importClause;
  if (clause === undefined) return false;
  if (clause.isTypeOnly) return true;
  const named = clause.namedBindings;
  if (clause.name !== undefined || named === undefined || !ts.isNamedImports(named)) return false;
  return named.elements.length > 0 && named.elements.every((element) => element.isTypeOnly);
}

function isTypeExport(node: ts.ExportDeclaration): boolean {
  if (node.isTypeOnly) return true;
  const clause = node.exportClause;
  return clause !== undefined && ts.isNamedExports(clause) && clause.elements.every((element) => element.isTypeOnly);
}

/** The table of the design's section "Folders, and who may import whom". */
export const importDirections: Check = {
  name: "import-directions",
  *run(project) {
    const packages = packageNames(project);
    for (const source of project.sources) {
      const file = project.pathOf(source);
      const zone = ZONES.find(({ files }) => files.test(file));
      if (zone === undefined) continue;
      for (const edge of edgesOf(project, source)) {
        const problem =
          edge.to === null ? packageProblem(zone, edge, packages) : directionProblem(zone, file, edge, edge.to);
        if (problem !== null) yield findingAt(project, "import-directions", edge.node, problem);
      }
    }
  },
};

function directionProblem(zone: Zone, file: string, edge: Edge, to: string): string | null {
  const own = zone.files.exec(file)?.[1] ?? "";
  const allows = (prefixes: readonly string[] = []): boolean =>
    prefixes.some((prefix) => to.startsWith(prefix.replace("$1", own)));
  if (allows(zone.may) || (edge.typeOnly && allows(zone.mayType))) return null;
  return `${zone.name} may not import ${to}`;
}

interface Packages {
  readonly product: ReadonlySet<string>;
  readonly all: ReadonlySet<string>;
}

function packageNames(project: Project): Packages {
  const manifest = project.files.includes("package.json") ? project.text("package.json") : "{}";
  const { dependencies, devDependencies } = JSON.parse(manifest) as Record<string, Record<string, string> | undefined>;
  const product = new Set(Object.keys(dependencies ?? {}));
  return { product, all: new Set([...product, ...Object.keys(devDependencies ?? {})]) };
}

function packageProblem(zone: Zone, edge: Edge, packages: Packages): string | null {
  const { specifier } = edge;
  if (specifier.startsWith("virtual:") && GENERATED_FOR.includes(zone.name)) return null;
  if (zone.packages === "none") return `${zone.name} may not import the package ${specifier}`;
  if (isBuiltin(specifier)) return specifier.startsWith("node:") ? null : `write node:${specifier}`;
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  const declared = zone.packages === "product" ? packages.product : packages.all;
  return declared.has(name) || edge.typeOnly ? null : `${name} is not in package.json's dependencies`;
}

/** Guest code imports headers by the package's name, so that the line greps as Linux and the linker sees it; headers may be short. */
export const headerNames: Check = {
  name: "header-names",
  *run(project) {
    for (const source of project.sources) {
      const file = project.pathOf(source);
      if (!isGuest(file) || file.startsWith(HEADERS)) continue;
      for (const { specifier, to, node } of edgesOf(project, source)) {
        if (!to?.startsWith(HEADERS) || !specifier.startsWith(".")) continue;
        const name = to.slice(HEADERS.length).replace(/\.ts$/, "");
        yield findingAt(project, "header-names", node, `write "xenolith/${name}" instead of "${specifier}"`);
      }
    }
  },
};

/** Host modules that import one another in a circle cannot be understood one at a time. */
export const importCycles: Check = {
  name: "import-cycles",
  *run(project) {
    const edges = new Map<string, Edge[]>();
    for (const source of project.sources) {
      const file = project.pathOf(source);
      if (isHost(file))
        edges.set(
          file,
          edgesOf(project, source).filter((edge) => !edge.typeOnly && !edge.dynamic),
        );
    }
    const done = new Set<string>();
    for (const file of edges.keys()) yield* cyclesFrom(project, edges, file, [], done);
  },
};

function* cyclesFrom(
  project: Project,
  edges: ReadonlyMap<string, readonly Edge[]>,
  file: string,
  above: readonly string[],
  done: Set<string>,
): Generator<Finding, void, void> {
  if (done.has(file)) return;
  const trail = [...above, file];
  for (const { to, node } of edges.get(file) ?? []) {
    const start = to === null ? -1 : trail.indexOf(to);
    if (start >= 0) {
      yield findingAt(project, "import-cycles", node, `import cycle: ${[...trail.slice(start), to].join(" -> ")}`);
    } else if (to !== null) {
      yield* cyclesFrom(project, edges, to, trail, done);
    }
  }
  done.add(file);
}

/** A name is exported under its own name. */
export const defaultExports: Check = {
  name: "default-exports",
  *run(project) {
    for (const source of project.sources) {
      if (/\.config\.(ts|js|mjs)$/.test(project.pathOf(source))) continue;
      for (const node of source.statements) {
        const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) ?? [] : [];
        const isDefault = modifiers.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword);
        if (isDefault || ts.isExportAssignment(node)) {
          yield findingAt(project, "default-exports", node, "no default exports: export it by its name");
        }
      }
    }
  },
};

/** A file that only passes on other files' names hides where things are. */
export const barrels: Check = {
  name: "barrels",
  *run(project) {
    for (const source of project.sources) {
      const file = project.pathOf(source);
      if (ENTRY_POINTS.includes(file) || file.startsWith(HEADERS) || source.statements.length === 0) continue;
      const passesOn = (node: ts.Statement): boolean =>
        ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined;
      if (source.statements.every(passesOn)) yield { check: "barrels", file, line: 1, message: "only re-exports" };
    }
  },
};

/** A bundle that held the definition of an exported symbol would have its own copy of the kernel's state. */
export const bundleContents: Check = {
  name: "bundle-contents",
  *run(project) {
    const exporting = (file: string): boolean => /^EXPORT_SYMBOL(_GPL)?\(/m.test(project.text(file));
    for (const source of project.sources) {
      const file = project.pathOf(source);
      if (!/^(drivers\/(block|tty)|images\/programs)\//.test(file)) continue;
      const own = /^((?:drivers\/(?:block|tty)|images\/programs)\/[^/]+)/.exec(file)?.[1] ?? file;
      for (const [reached, node] of closure(project, source)) {
        if (reached.startsWith(own) || !project.files.includes(reached) || !exporting(reached)) continue;
        yield findingAt(project, "bundle-contents", node, `the bundle would contain ${reached}, which exports symbols`);
      }
    }
  },
};

/** Every file that a file's imports pull in, with the import that did. */
function closure(project: Project, source: ts.SourceFile): Map<string, ts.Node> {
  const found = new Map<string, ts.Node>();
  const visit = (file: ts.SourceFile, why: ts.Node | null): void => {
    for (const { to, typeOnly, node } of edgesOf(project, file)) {
      if (to === null || typeOnly || found.has(to)) continue;
      found.set(to, why ?? node);
      const next = project.source(to);
      if (next !== undefined) visit(next, why ?? node);
    }
  };
  visit(source, null);
  return found;
}
