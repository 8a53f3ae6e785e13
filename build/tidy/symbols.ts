/** Headers and what they declare: one implementation each, of the declared type. */
import ts from "typescript";
import { aliased } from "./bans";
import { type Check, type Project, findingAt } from "./project";

interface Exported {
  readonly name: string;
  readonly argument: ts.Identifier;
}

/** Every `EXPORT_SYMBOL(name)` at the top level of a guest file. */
function exportedSymbols(project: Project): Exported[] {
  const found: Exported[] = [];
  for (const source of project.sources) {
    if (!/^(kernel|drivers)\//.test(project.pathOf(source))) continue;
    for (const statement of source.statements) {
      if (!ts.isExpressionStatement(statement) || !ts.isCallExpression(statement.expression)) continue;
      const { expression, arguments: args } = statement.expression;
      if (!/^EXPORT_SYMBOL(_GPL)?$/.test(expression.getText(source))) continue;
      const argument = args.at(-1);
      if (argument === undefined || !ts.isIdentifier(argument)) continue;
      found.push({ name: ts.isStringLiteral(args[0]) ? args[0].text : argument.text, argument });
    }
  }
  return found;
}

interface Declared {
  readonly file: string;
  readonly node: ts.FunctionDeclaration | ts.VariableDeclaration;
}

/** `export declare function f` and `export declare const c` of all headers, by name. */
function declaredSymbols(project: Project): Map<string, Declared[]> {
  const found = new Map<string, Declared[]>();
  const add = (name: string, declared: Declared): unknown => found.set(name, [...(found.get(name) ?? []), declared]);
  for (const source of project.sources) {
    const file = project.pathOf(source);
    if (!file.startsWith("kernel/include/")) continue;
    for (const statement of source.statements) {
      const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) ?? [] : [];
      if (!modifiers.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword)) continue;
      if (ts.isFunctionDeclaration(statement) && statement.name) add(statement.name.text, { file, node: statement });
      if (ts.isVariableStatement(statement)) {
        for (const node of statement.declarationList.declarations) add(node.name.getText(source), { file, node });
      }
    }
  }
  return found;
}

/** A symbol is exported once. */
export const exportedOnce: Check = {
  name: "exported-once",
  *run(project) {
    const first = new Map<string, string>();
    for (const { name, argument } of exportedSymbols(project)) {
      const other = first.get(name);
      if (other !== undefined)
        yield findingAt(project, "exported-once", argument, `${name} is already exported by ${other}`);
      else first.set(name, project.pathOf(argument.getSourceFile()));
    }
  },
};

/** Whatever a header declares is exported by somebody, and declared by one header only. */
export const declaredExists: Check = {
  name: "declared-exists",
  *run(project) {
    const exported = new Set(exportedSymbols(project).map(({ name }) => name));
    for (const [name, declarations] of declaredSymbols(project)) {
      const [first, ...others] = new Map(declarations.map((declared) => [declared.file, declared])).values();
      if (!exported.has(name)) yield findingAt(project, "declared-exists", first.node, `nobody exports ${name}`);
      for (const { file, node } of others) {
        yield findingAt(project, "declared-exists", node, `${name} is declared by ${first.file} and by ${file}`);
      }
    }
  },
};

/** An implementation can stand where the header's declaration is used. */
export const declaredTypes: Check = {
  name: "declared-types",
  *run(project) {
    const { checker } = project;
    const declared = declaredSymbols(project);
    for (const { name, argument } of exportedSymbols(project)) {
      const header = declared.get(name)?.[0];
      const implementation = aliased(checker, checker.getSymbolAtLocation(argument));
      // The build rewrites the calls of this one: it is declared as sources call it.
      if (name.startsWith("EXPORT_SYMBOL")) continue;
      if (header === undefined || implementation?.declarations?.some((node) => node === header.node)) continue;
      const wanted = checker.getTypeAtLocation(header.node);
      const given = checker.getTypeAtLocation(argument);
      if (checker.isTypeAssignableTo(given, wanted)) continue;
      const [a, b] = [checker.typeToString(given), checker.typeToString(wanted)];
      yield findingAt(project, "declared-types", argument, `${name} is ${a}, but ${header.file} declares ${b}`);
    }
  },
};

/** A header's state would exist once per bundle. */
export const statelessHeaders: Check = {
  name: "stateless-headers",
  *run(project) {
    for (const source of project.sources) {
      if (!project.pathOf(source).startsWith("kernel/include/")) continue;
      for (const statement of source.statements) {
        if (!ts.isVariableStatement(statement)) continue;
        const modifiers = ts.getModifiers(statement) ?? [];
        const isConst = (statement.declarationList.flags & ts.NodeFlags.Const) !== 0;
        if (isConst) continue;
        const isDeclare = modifiers.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword);
        const message = isDeclare ? "declare a function instead of a variable" : "headers hold no state";
        yield findingAt(project, "stateless-headers", statement, message);
      }
    }
  },
};
