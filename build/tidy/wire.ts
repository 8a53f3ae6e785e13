/** Wire layouts are declared once, in hal/abi. */
import ts from "typescript";
import { type Check, type Project, descendants, findingAt } from "./project";

/** Accessors whose second argument says where on the wire something lies. */
const ACCESSORS = new Set(["page_read32", "page_write32", "page_read16", "page_write16", "page_read8", "page_write8"]);
/** Methods whose first argument says so. */
const METHODS = /^(get|set)(Ui|I)nt(8|16|32)$|^(read|write)U?Int(8|16LE|32LE)$/;

/** Where layouts are declared: the ABI, and the kernel's face of it. */
const WIRE = /^(hal\/abi|kernel\/include\/xen\/interface)\//;

function isProduct(file: string): boolean {
  return /^(kernel|drivers|hal|test\/kit)\//.test(file) && !WIRE.test(file);
}

/** No access to shared memory at an offset that is written out as a number; 0 is an address, and `+ 1` a u64's second word. */
export const wireOffsets: Check = {
  name: "wire-offsets",
  *run(project) {
    for (const source of project.sources) {
      if (!isProduct(project.pathOf(source))) continue;
      for (const node of descendants(source)) {
        if (!ts.isCallExpression(node)) continue;
        const place = placeArgument(node);
        if (place === undefined || !hasLiteralOffset(place)) continue;
        yield findingAt(project, "wire-offsets", place, `wire offset ${place.getText()}: name it in hal/abi`);
      }
    }
  },
};

function placeArgument(call: ts.CallExpression): ts.Expression | undefined {
  if (ts.isIdentifier(call.expression) && ACCESSORS.has(call.expression.text)) return call.arguments[1];
  if (!ts.isPropertyAccessExpression(call.expression)) return undefined;
  const { text } = call.expression.name;
  if (!METHODS.test(text)) return undefined;
  return call.arguments[/^(set|write)/.test(text) && text.startsWith("write") ? 1 : 0];
}

/** A number other than 0, alone or added to something. */
function hasLiteralOffset(node: ts.Expression): boolean {
  if (ts.isNumericLiteral(node)) return node.text !== "0";
  if (ts.isParenthesizedExpression(node)) return hasLiteralOffset(node.expression);
  if (!ts.isBinaryExpression(node) || node.operatorToken.kind !== ts.SyntaxKind.PlusToken) return false;
  return [node.left, node.right].some((side) => side.getText() !== "1" && hasLiteralOffset(side));
}

/** No constant of hal/abi is written down a second time. */
export const abiConstants: Check = {
  name: "abi-constants",
  *run(project) {
    const names = abiNames(project);
    for (const source of project.sources) {
      const file = project.pathOf(source);
      if (!isProduct(file)) continue;
      for (const statement of source.statements) {
        if (!ts.isVariableStatement(statement)) continue;
        for (const { name, initializer } of statement.declarationList.declarations) {
          const owner = ts.isIdentifier(name) ? names.get(name.text) : undefined;
          if (owner === undefined || initializer === undefined || !ts.isNumericLiteral(initializer)) continue;
          yield findingAt(project, "abi-constants", name, `${name.getText()} is declared by ${owner}: import it`);
        }
      }
    }
  },
};

/** Names of the constants that hal/abi exports, and where. */
function abiNames(project: Project): Map<string, string> {
  const names = new Map<string, string>();
  for (const source of project.sources) {
    const file = project.pathOf(source);
    if (!file.startsWith("hal/abi/")) continue;
    for (const statement of source.statements) {
      if (!ts.isVariableStatement(statement)) continue;
      for (const { name } of statement.declarationList.declarations) names.set(name.getText(source), file);
    }
  }
  return names;
}
