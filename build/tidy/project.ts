/**
 * What the checks look at: the project's files by path, parsed, and the type checker over all of them.
 *
 * Paths are relative to the project, with forward slashes, everywhere in tidy.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import ts from "typescript";

/** Something that a check found. */
export interface Finding {
  readonly check: string;
  readonly file: string;
  /** From 1; 0 when it is about the whole file. */
  readonly line: number;
  readonly message: string;
}

/** A check: its name in the report, and what it finds. */
export interface Check {
  readonly name: string;
  run(project: Project): Iterable<Finding>;
}

export interface Project {
  /** Every text file of the project. */
  readonly files: readonly string[];
  /** Every TypeScript file, parsed and bound. */
  readonly sources: readonly ts.SourceFile[];
  readonly checker: ts.TypeChecker;
  text(file: string): string;
  source(file: string): ts.SourceFile | undefined;
  /** The path of a parsed file. */
  pathOf(source: ts.SourceFile): string;
  /** Where a module specifier of a file leads: a project path, or null for node's and npm's packages and for nothing. */
  resolve(from: string, specifier: string): string | null;
}

const BINARY = /\.(img|png|bin|gz|wasm)$/;

/** The project in a folder: the files that git tracks or would track. */
export function projectAt(root: string): Project {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
  const files = listed
    .toString("utf8")
    .split("\0")
    .filter((file) => file !== "" && !BINARY.test(file));
  const present = [...new Set(files)].filter((file) => fs.existsSync(path.join(root, file))).sort();
  return makeProject(root, present, (file) => fs.readFileSync(path.join(root, file), "utf8"));
}

/** Parsed files of packages and of the language, for projects that are made one after another. */
export type Libraries = Map<string, ts.SourceFile | undefined>;

/** A project of texts in memory, for the tests of the checks. `root` is a real project whose packages may be imported. */
export function projectOf(root: string, texts: Readonly<Record<string, string>>, libraries: Libraries): Project {
  return makeProject(root, Object.keys(texts), (file) => texts[file], libraries);
}

function makeProject(
  root: string,
  files: readonly string[],
  read: (file: string) => string,
  libraries: Libraries = new Map(),
): Project {
  const known = new Set(files);
  const cache = new Map<string, string>();
  const text = (file: string): string => {
    const seen = cache.get(file) ?? read(file);
    cache.set(file, seen);
    return seen;
  };
  const relative = (name: string): string => path.relative(root, name).split(path.sep).join("/");
  const names = files.filter((file) => file.endsWith(".ts"));
  const options = compilerOptions(root);
  let program: ts.Program | null = null;
  const programOf = (): ts.Program =>
    (program ??= ts.createProgram({
      rootNames: names.map((file) => path.join(root, file)),
      options,
      host: hostOver(options, known, relative, text, libraries),
    }));
  const source = (file: string): ts.SourceFile | undefined => programOf().getSourceFile(path.join(root, file));
  return {
    files,
    text,
    source,
    get sources() {
      return names.map(source).filter((found) => found !== undefined);
    },
    get checker() {
      return programOf().getTypeChecker();
    },
    pathOf: (file) => relative(file.fileName),
    resolve: (from, specifier) => resolveSpecifier(known, from, specifier),
  };
}

function compilerOptions(root: string): ts.CompilerOptions {
  const file = path.join(root, "tsconfig.json");
  const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(file, ts.sys.readFile).config, ts.sys, root);
  return { ...options, noEmit: true };
}

/** The usual compiler host, with the project's own files taken from `text` and nothing else inside the project. */
function hostOver(
  options: ts.CompilerOptions,
  known: ReadonlySet<string>,
  relative: (name: string) => string,
  text: (file: string) => string,
  libraries: Libraries,
): ts.CompilerHost {
  const host = ts.createCompilerHost(options, true);
  const outside = (name: string): boolean => relative(name).startsWith("..") || name.includes("node_modules");
  return {
    ...host,
    fileExists: (name) => (outside(name) ? host.fileExists(name) : known.has(relative(name)) || isPackageFile(name)),
    readFile: (name) => (known.has(relative(name)) ? text(relative(name)) : host.readFile(name)),
    getSourceFile: (name, languageVersion) => {
      if (known.has(relative(name))) return ts.createSourceFile(name, text(relative(name)), languageVersion, true);
      if (!libraries.has(name)) libraries.set(name, host.getSourceFile(name, languageVersion));
      return libraries.get(name);
    },
  };
}

function isPackageFile(name: string): boolean {
  return path.basename(name) === "package.json" && ts.sys.fileExists(name);
}

const PACKAGE: Readonly<Record<string, string>> = {
  xenolith: "hal/host/index.ts",
  "xenolith/kit": "test/kit/index.ts",
  "xenolith/build": "build/index.ts",
};

function resolveSpecifier(known: ReadonlySet<string>, from: string, specifier: string): string | null {
  const header = /^xenolith\/(linux|xen)\/(.+)$/.exec(specifier);
  if (header) return `kernel/include/${header[1]}/${header[2]}.ts`;
  if (Object.hasOwn(PACKAGE, specifier)) return PACKAGE[specifier];
  if (!specifier.startsWith(".")) return null;
  const base = path.posix.normalize(path.posix.join(path.posix.dirname(from), specifier));
  return [base, `${base}.ts`, `${base}.d.ts`, `${base}/index.ts`].find((file) => known.has(file)) ?? base;
}

/** A finding at a node. */
export function findingAt(project: Project, check: string, node: ts.Node, message: string): Finding {
  const file = node.getSourceFile();
  const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
  return { check, file: project.pathOf(file), line: line + 1, message };
}

/** Every node below, depth first. */
export function* descendants(node: ts.Node): Generator<ts.Node, void, void> {
  const children: ts.Node[] = [];
  ts.forEachChild(node, (child) => {
    children.push(child);
  });
  for (const child of children) {
    yield child;
    yield* descendants(child);
  }
}

/** Whether the file is guest code: Linux's dialect and bans. */
export function isGuest(file: string): boolean {
  return /^(kernel|drivers|hal\/guest|images\/programs)\//.test(file);
}

/** Whether the file is product code that runs in Node. */
export function isHost(file: string): boolean {
  return /^(hal\/host|build|test\/kit)\//.test(file);
}
