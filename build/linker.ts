/**
 * The linker: a rollup and vite plugin that compiles guest TypeScript and binds kernel symbols.
 *
 *   driver.ts ── import { submit_bio } from "xenolith/linux/bio" ──► header: `export declare function submit_bio`
 *        kernel bundle:  the import goes straight to the file that says EXPORT_SYMBOL(submit_bio)
 *        module bundle:  the header's declaration becomes `__ksym("submit_bio")`, resolved when the module is loaded
 *
 * Types are stripped, not checked (`tsc` does that). `__DEBUG__` becomes a literal, and in a release build the accessors of
 * `hal/guest/page.ts` become plain loads and stores.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import ts from "typescript";

/** How symbols are bound: into one bundle (the kernel, tests) or by name at load (modules and programs). */
export type LinkMode = "kernel" | "module";

export interface LinkerOptions {
  /** The folder that holds `kernel/`, `drivers/` and `hal/`. */
  readonly root: string;
  readonly mode: LinkMode;
  /** The value of `__DEBUG__`. */
  readonly debug: boolean;
}

/** The part of rollup's and vite's plugin interface that is used. */
export interface LinkerPlugin {
  readonly name: string;
  readonly enforce: "pre";
  resolveId(source: string, importer: string | undefined): string | null;
  load(id: string): string | null;
  transform(code: string, id: string): { code: string; map: string | undefined } | null;
}

/** Importing it links everything built in: it runs the registration of every symbol and initcall. */
const INITCALLS = "virtual:initcalls";
const INITCALLS_ID = "\0virtual:initcalls";
const HEADER = /^xenolith\/(linux|xen)\/(.+)$/;
const EXPORT_SYMBOL = /^EXPORT_SYMBOL(?:_GPL)?\(("?)(\w+)\1[,)]/gm;

/** Accessors that a release build inlines: the view that they read or write. */
const INLINED: Readonly<Record<string, { view: "words" | "bytes"; store: boolean }>> = {
  page_read32: { view: "words", store: false },
  page_write32: { view: "words", store: true },
  page_read8: { view: "bytes", store: false },
  page_write8: { view: "bytes", store: true },
};

/** Every `.ts` file below a folder, sorted, headers and declaration files left out. */
export function sourceFiles(folder: string): string[] {
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts"))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
}

/** Which file defines each exported symbol: the kernel's own and the built-in drivers'. Throws if two files export one name. */
export function symbolIndex(root: string): Map<string, string> {
  const include = path.join(root, "kernel", "include") + path.sep;
  const files = [...sourceFiles(path.join(root, "kernel")), ...sourceFiles(path.join(root, "drivers", "xen"))];
  const index = new Map<string, string>();
  for (const file of files) {
    if (file.startsWith(include)) continue;
    for (const match of fs.readFileSync(file, "utf8").matchAll(EXPORT_SYMBOL)) {
      const [, , name] = match;
      const other = index.get(name);
      if (other !== undefined && other !== file) throw new Error(`${name} is exported by ${other} and by ${file}`);
      index.set(name, file);
    }
  }
  return index;
}

/** What is linked into every kernel although nothing may import it: the whole of `kernel/` and of `drivers/xen/`. */
function builtIn(root: string): string[] {
  const kernel = path.join(root, "kernel");
  const apart = [path.join(kernel, "include") + path.sep, path.join(kernel, "main.ts")];
  const files = [...sourceFiles(kernel), ...sourceFiles(path.join(root, "drivers", "xen"))];
  return files.filter((file) => !apart.some((prefix) => file.startsWith(prefix)));
}

function resolveTypeScript(base: string): string | null {
  for (const candidate of [base, `${base}.ts`, path.join(base, "index.ts")]) {
    if (fs.existsSync(candidate) && fs.statSync(candidate).isFile()) return candidate;
  }
  return null;
}

/** Makes the plugin. One instance serves one bundle or one test run. */
export function linker(options: LinkerOptions): LinkerPlugin {
  const include = path.join(options.root, "kernel", "include");
  let index: Map<string, string> | null = null;
  const symbols = (): Map<string, string> => (index ??= symbolIndex(options.root));
  return {
    name: "xenolith-linker",
    enforce: "pre",
    resolveId(source, importer) {
      if (source === INITCALLS) return INITCALLS_ID;
      const header = HEADER.exec(source);
      if (header) return path.join(include, header[1], `${header[2]}.ts`);
      if (!source.startsWith(".") || importer === undefined) return null;
      return resolveTypeScript(path.resolve(path.dirname(importer), source));
    },
    load(id) {
      if (id !== INITCALLS_ID) return null;
      return builtIn(options.root)
        .map((file) => `import ${JSON.stringify(file)};`)
        .join("\n");
    },
    transform(code, id) {
      if (!id.endsWith(".ts")) return null;
      const isHeader = id.startsWith(include + path.sep);
      const compiled = ts.transpileModule(code, {
        fileName: id,
        compilerOptions: {
          target: ts.ScriptTarget.ES2023,
          module: ts.ModuleKind.ESNext,
          sourceMap: true,
          isolatedModules: true,
        },
        transformers: { before: [rewrite(options, symbols, isHeader, id)] },
      });
      return {
        code: compiled.outputText.replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n"),
        map: compiled.sourceMapText,
      };
    },
  };
}

type Symbols = () => Map<string, string>;

function rewrite(options: LinkerOptions, symbols: Symbols, isHeader: boolean, id: string) {
  return (context: ts.TransformationContext) => {
    const f = context.factory;
    const inlines = !options.debug && !id.endsWith(path.join("hal", "guest", "page.ts"));
    const visit = (node: ts.Node): ts.Node => {
      if (ts.isIdentifier(node) && node.text === "__DEBUG__") return options.debug ? f.createTrue() : f.createFalse();
      const visited = ts.visitEachChild(node, visit, context);
      if (!ts.isCallExpression(visited) || !ts.isIdentifier(visited.expression)) return visited;
      return rewriteCall(f, visited, visited.expression.text, inlines);
    };
    // Headers may import one another by short names.
    const isHeaderName = (name: string): boolean => HEADER.test(name) || (isHeader && name.startsWith("."));
    return (file: ts.SourceFile): ts.SourceFile => {
      let found: Set<string> | null = null;
      const values = (): Set<string> => (found ??= valueNames(file));
      const statements = file.statements.flatMap((statement) =>
        options.mode === "kernel" && ts.isImportDeclaration(statement)
          ? splitImport(f, statement, symbols(), isHeaderName, values)
          : [statement],
      );
      const declared = isHeader ? declaredSymbols(file) : [];
      const bound = bindDeclared(f, file, declared, options.mode, symbols);
      return ts.visitEachChild(f.updateSourceFile(file, [...bound, ...statements]), visit, context);
    };
  };
}

function rewriteCall(f: ts.NodeFactory, call: ts.CallExpression, name: string, inlines: boolean): ts.Expression {
  if ((name === "EXPORT_SYMBOL" || name === "EXPORT_SYMBOL_GPL") && call.arguments.length === 1) {
    const symbol = call.arguments[0];
    if (!ts.isIdentifier(symbol)) throw new Error(`${name}: the argument must be a name`);
    return f.updateCallExpression(call, call.expression, undefined, [f.createStringLiteral(symbol.text), symbol]);
  }
  if (!inlines || !Object.hasOwn(INLINED, name)) return call;
  const { view, store } = INLINED[name];
  const [page, position, value] = call.arguments;
  const place = f.createElementAccessExpression(f.createPropertyAccessExpression(page, view), position);
  return store ? f.createParenthesizedExpression(f.createAssignment(place, value)) : place;
}

/** Splits `import { a_symbol, a_type } from "xenolith/..."` into the header's part and one import per implementing file. */
function splitImport(
  f: ts.NodeFactory,
  node: ts.ImportDeclaration,
  index: Map<string, string>,
  isHeaderName: (name: string) => boolean,
  values: () => Set<string>,
): ts.Statement[] {
  const names = node.importClause?.namedBindings;
  if (!ts.isStringLiteral(node.moduleSpecifier) || !isHeaderName(node.moduleSpecifier.text)) return [node];
  if (node.importClause?.isTypeOnly || !names || !ts.isNamedImports(names)) return [node];
  const isSymbol = (element: ts.ImportSpecifier): boolean =>
    !element.isTypeOnly && index.has((element.propertyName ?? element.name).text);
  const linked = names.elements.filter(isSymbol);
  if (linked.length === 0) return [node];
  // TypeScript does not leave out types from an import that a transformer has changed.
  const rest = names.elements.filter(
    (element) => !isSymbol(element) && !element.isTypeOnly && values().has(element.name.text),
  );
  const result: ts.Statement[] = linked.map((element) => {
    const name = (element.propertyName ?? element.name).text;
    return importOf(f, name, element.name.text, index.get(name) as string);
  });
  if (rest.length > 0) {
    const clause = f.updateImportClause(node.importClause, undefined, undefined, f.updateNamedImports(names, rest));
    result.push(f.updateImportDeclaration(node, node.modifiers, clause, node.moduleSpecifier, node.attributes));
  }
  return result;
}

/** Every name that stands in a file where a value may stand. */
function valueNames(file: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return;
    if (ts.isImportDeclaration(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    if (ts.isIdentifier(node)) names.add(node.text);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return names;
}

function importOf(f: ts.NodeFactory, name: string, local: string, file: string): ts.ImportDeclaration {
  const specifier = f.createImportSpecifier(
    false,
    name === local ? undefined : f.createIdentifier(name),
    f.createIdentifier(local),
  );
  const clause = f.createImportClause(undefined, undefined, f.createNamedImports([specifier]));
  return f.createImportDeclaration(undefined, clause, f.createStringLiteral(file));
}

/** The names that a header only declares: `export declare function f` and `export declare const c`. */
export function declaredSymbols(file: ts.SourceFile): string[] {
  const names: string[] = [];
  for (const statement of file.statements) {
    if (!ts.canHaveModifiers(statement)) continue;
    if (!ts.getModifiers(statement)?.some((modifier) => modifier.kind === ts.SyntaxKind.DeclareKeyword)) continue;
    if (ts.isFunctionDeclaration(statement) && statement.name) names.push(statement.name.text);
    if (ts.isVariableStatement(statement)) {
      for (const variable of statement.declarationList.declarations) names.push(variable.name.getText(file));
    }
  }
  return [...new Set(names)];
}

/** What a header's declarations become: look-ups by name in a module; in the kernel, imports for the header's own inline functions. */
function bindDeclared(
  f: ts.NodeFactory,
  file: ts.SourceFile,
  names: readonly string[],
  mode: LinkMode,
  symbols: Symbols,
): ts.Statement[] {
  if (names.length === 0) return [];
  if (mode === "module") return names.map((name) => lookup(f, name));
  const used = usedNames(file);
  return names
    .filter((name) => used.has(name) && symbols().has(name))
    .map((name) => importOf(f, name, name, symbols().get(name) as string));
}

function lookup(f: ts.NodeFactory, name: string): ts.Statement {
  const call = f.createCallExpression(f.createIdentifier("__ksym"), undefined, [f.createStringLiteral(name)]);
  ts.addSyntheticLeadingComment(call, ts.SyntaxKind.MultiLineCommentTrivia, "@__PURE__", false);
  const declaration = f.createVariableDeclaration(name, undefined, undefined, call);
  const list = f.createVariableDeclarationList([declaration], ts.NodeFlags.Const);
  return f.createVariableStatement([f.createModifier(ts.SyntaxKind.ExportKeyword)], list);
}

/** Identifiers inside function and class bodies of a file. */
function usedNames(file: ts.SourceFile): Set<string> {
  const used = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) used.add(node.text);
    ts.forEachChild(node, visit);
  };
  for (const statement of file.statements) {
    if (ts.isFunctionDeclaration(statement) && statement.body) visit(statement.body);
    if (ts.isClassDeclaration(statement) || ts.isVariableStatement(statement)) {
      const isDeclare = ts.getModifiers(statement)?.some((m) => m.kind === ts.SyntaxKind.DeclareKeyword) ?? false;
      if (!isDeclare) visit(statement);
    }
  }
  return used;
}
