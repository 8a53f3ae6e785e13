/**
 * What the linker does to one file: types out, symbols bound, literals in. See `linker.ts`.
 */
import * as path from "node:path";
import ts from "typescript";
import { HEADER, type LinkMode, type LinkerOptions, type Transpile, type Transpiled } from "./linker.ts";
import { sharesClasses, symbolIndex } from "./symbols.ts";

/** Accessors that a release build inlines: the view that they read or write. */
const INLINED: Readonly<Record<string, { view: "words" | "bytes"; store: boolean }>> = {
  page_read32: { view: "words", store: false },
  page_write32: { view: "words", store: true },
  page_read8: { view: "bytes", store: false },
  page_write8: { view: "bytes", store: true },
};

/** Makes a compiler of single files. It looks for the exported symbols of a project once. */
export function createTranspiler(): Transpile {
  const indexes = new Map<string, Map<string, string>>();
  const indexOf = (root: string): Map<string, string> => {
    const index = indexes.get(root) ?? symbolIndex(root);
    indexes.set(root, index);
    return index;
  };
  return async (options, code, id) => {
    const { problems, ...transpiled } = transpile(options, () => indexOf(options.root), code, id);
    if (problems.length === 0) return transpiled;
    // No BuildError: this file is part of vitest's configuration, and so would be all that an error of the build imports.
    throw Object.assign(new Error(problems.join("\n")), { problems });
  };
}

/** Folders of guest code. */
const GUEST = ["kernel", "drivers", "hal/abi", "hal/guest", "images/programs"];

function isGuest(root: string, id: string): boolean {
  return GUEST.some((folder) => id.startsWith(path.join(root, folder) + path.sep));
}

/** A file's code and map, and what is wrong with its syntax, one line each. */
type Attempt = Transpiled & { readonly problems: readonly string[] };

function transpile(options: LinkerOptions, symbols: Symbols, code: string, id: string): Attempt {
  const isHeader = id.startsWith(path.join(options.root, "kernel", "include") + path.sep);
  const linksClasses = options.mode === "module" && sharesClasses(options.root, id);
  const compiled = ts.transpileModule(code, {
    fileName: id,
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      sourceMap: true,
      isolatedModules: true,
      // Guests' fields become assignments in the constructor: QuickJS makes a function of a class's fields, calls it for each object, and
      // walks from the beginning of the bundle to each when it is compiled.
      useDefineForClassFields: !isGuest(options.root, id),
    },
    transformers: { before: [rewrite(options, symbols, isHeader, linksClasses, id)] },
  });
  return {
    problems: (compiled.diagnostics ?? []).map((problem) => describe(options.root, id, problem)),
    code: compiled.outputText.replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n"),
    map: compiled.sourceMapText as string,
  };
}

/** One line: FILE:LINE:COLUMN and what TypeScript says of the syntax there. */
function describe(root: string, id: string, { file, start, messageText }: ts.Diagnostic): string {
  const text = ts.flattenDiagnosticMessageText(messageText, " ");
  const name = path.relative(root, id).split(path.sep).join("/");
  if (file === undefined || start === undefined) return `${name}: ${text}`;
  const { line, character } = file.getLineAndCharacterOfPosition(start);
  return `${name}:${line + 1}:${character + 1}: ${text}`;
}

/** Exported name to absolute path; asked for when a file needs it. */
type Symbols = () => Map<string, string>;

function rewrite(options: LinkerOptions, symbols: Symbols, isHeader: boolean, linksClasses: boolean, id: string) {
  return (context: ts.TransformationContext) => {
    const f = context.factory;
    const guest = isGuest(options.root, id);
    const inlines = !options.debug && !id.endsWith(path.join("hal", "guest", "page.ts"));
    const visit = (node: ts.Node): ts.Node => {
      if (ts.isIdentifier(node) && node.text === "__DEBUG__") return options.debug ? f.createTrue() : f.createFalse();
      if (ts.isClassLike(node) && guest) refuseHiddenNames(node);
      // Here, and not only where dead code is removed: what is small without its checks is inlined.
      if (!options.debug && ts.isIfStatement(node) && isDebugOnly(node.expression)) {
        return node.elseStatement === undefined ? f.createEmptyStatement() : visit(node.elseStatement);
      }
      const visited = ts.visitEachChild(node, visit, context);
      if (ts.isPropertyDeclaration(visited) && guest) return withValue(f, visited);
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
          : [linksClasses ? linkedClass(f, statement) : statement],
      );
      const declared = isHeader ? declaredIn(file) : [];
      const bound = bindDeclared(f, file, declared, options.mode, symbols);
      return ts.visitEachChild(f.updateSourceFile(file, [...bound, ...statements]), visit, context);
    };
  };
}

/** A field without a value gets the value that it has anyway, so that every object of a class has the same properties in the same order. */
function withValue(f: ts.NodeFactory, field: ts.PropertyDeclaration): ts.PropertyDeclaration {
  const isDeclared = field.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword) ?? false;
  if (field.initializer !== undefined || isDeclared) return field;
  const undefinedValue = f.createIdentifier("undefined");
  return f.updatePropertyDeclaration(field, field.modifiers, field.name, undefined, field.type, undefinedValue);
}

/** A field's value moves into the constructor; a name there that is the constructor's own would mean something else. Throws then. */
function refuseHiddenNames(node: ts.ClassLikeDeclaration): void {
  const constructor = node.members.find(ts.isConstructorDeclaration);
  if (constructor === undefined) return;
  const own = new Set<string>();
  const declare = (child: ts.Node): void => {
    if ((ts.isParameter(child) || ts.isVariableDeclaration(child)) && ts.isIdentifier(child.name))
      own.add(child.name.text);
    ts.forEachChild(child, declare);
  };
  declare(constructor);
  for (const field of node.members) {
    if (!ts.isPropertyDeclaration(field) || field.initializer === undefined) continue;
    const hidden = [...valueNames(field.initializer)].find((name) => own.has(name));
    if (hidden === undefined) continue;
    throw new Error(
      `class ${node.name?.text ?? ""}: the value of a field names ${hidden}, which the constructor declares too`,
    );
  }
}

/** Whether a condition begins with `__DEBUG__`, so that it does not hold in a release build. */
function isDebugOnly(condition: ts.Expression): boolean {
  if (ts.isIdentifier(condition)) return condition.text === "__DEBUG__";
  if (!ts.isBinaryExpression(condition)) return false;
  return condition.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken && isDebugOnly(condition.left);
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

/** Every name that stands in a file, or a part of one, where a value may stand. */
function valueNames(file: ts.Node): Set<string> {
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

/** The names that a header's text only declares: `export declare function f` and `export declare const c`. */
export function declaredSymbols(text: string): string[] {
  return declaredIn(ts.createSourceFile("header.ts", text, ts.ScriptTarget.ES2023));
}

function declaredIn(file: ts.SourceFile): string[] {
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

/** An exported class becomes a look-up of the kernel's; anything else stays. */
function linkedClass(f: ts.NodeFactory, statement: ts.Statement): ts.Statement {
  if (!ts.isClassDeclaration(statement) || statement.name === undefined) return statement;
  const isExported = statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
  return isExported ? lookup(f, statement.name.text) : statement;
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
