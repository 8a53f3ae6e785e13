/** Rules of the host's dialect: no hidden state, camelCase names. */
import ts from "typescript";
import { type Check, descendants, findingAt, isHost } from "./project";

const CONTAINERS = new Set(["Map", "Set", "WeakMap", "WeakSet", "Array"]);
const READONLY = /^(Readonly|ReadonlyMap|ReadonlySet|ReadonlyArray)\b|^readonly\b/;

/**
 * State lives in an object that somebody made and can throw away, never in a module. What is computed once and never changes says so in a comment
 * that begins with `tidy: memo`.
 */
export const moduleState: Check = {
  name: "module-state",
  *run(project) {
    for (const source of project.sources) {
      if (!isHost(project.pathOf(source))) continue;
      for (const statement of source.statements) {
        if (!ts.isVariableStatement(statement) || isMemo(source, statement)) continue;
        const isConst = (statement.declarationList.flags & ts.NodeFlags.Const) !== 0;
        for (const variable of statement.declarationList.declarations) {
          if (isConst && !isEmptyContainer(variable)) continue;
          yield findingAt(
            project,
            "module-state",
            variable,
            `${variable.name.getText()} is module state: keep it in an object`,
          );
        }
      }
    }
  },
};

function isMemo(source: ts.SourceFile, statement: ts.Statement): boolean {
  return /^[ /*]*tidy: memo\b/m.test(source.text.slice(statement.getFullStart(), statement.getStart(source)));
}

/** Something that is of no use unless it is changed later. */
function isEmptyContainer(variable: ts.VariableDeclaration): boolean {
  const { initializer, type } = variable;
  if (initializer === undefined || (type !== undefined && READONLY.test(type.getText()))) return false;
  if (ts.isArrayLiteralExpression(initializer)) return initializer.elements.length === 0;
  if (ts.isObjectLiteralExpression(initializer)) return initializer.properties.length === 0;
  if (!ts.isNewExpression(initializer) || !CONTAINERS.has(initializer.expression.getText())) return false;
  return (initializer.arguments?.length ?? 0) === 0;
}

/** What is declared on the host's side is in camelCase or PascalCase; snake_case tells the reader to grep Linux. */
export const hostNames: Check = {
  name: "host-names",
  *run(project) {
    for (const source of project.sources) {
      if (!isHost(project.pathOf(source))) continue;
      for (const node of descendants(source)) {
        const named =
          ts.isFunctionDeclaration(node) ||
          ts.isMethodDeclaration(node) ||
          ts.isClassDeclaration(node) ||
          ts.isInterfaceDeclaration(node) ||
          ts.isTypeAliasDeclaration(node);
        const name = named ? node.name : undefined;
        if (name === undefined || !ts.isIdentifier(name) || !/^[a-z]\w*_/.test(name.text)) continue;
        yield findingAt(project, "host-names", name, `${name.text}: names on the host's side are in camelCase`);
      }
    }
  },
};
