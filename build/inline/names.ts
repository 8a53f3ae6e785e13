/**
 * What the names in a piece of a bundle stand for, judged by name alone: two variables of one name in one top-level declaration count as one. That is
 * enough to be safe, because rollup has already made top-level names unique.
 */
import ts from "typescript";

/** Whether the identifier `node`, a child of `parent`, is only a label or the name of a property. */
export function isOnlyName(node: ts.Identifier, parent: ts.Node): boolean {
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  if (ts.isPropertyAssignment(parent) || ts.isClassElement(parent)) return parent.name === node;
  if (ts.isBindingElement(parent)) return parent.propertyName === node;
  return ts.isLabeledStatement(parent) || ts.isBreakOrContinueStatement(parent);
}

/** Calls `visit` for every identifier below `node` that stands for a variable, with its parent. */
export function forEachName(node: ts.Node, visit: (name: ts.Identifier, parent: ts.Node) => void): void {
  const walk = (child: ts.Node, parent: ts.Node): void => {
    if (ts.isIdentifier(child)) {
      if (!isOnlyName(child, parent)) visit(child, parent);
    } else {
      ts.forEachChild(child, (grandchild) => walk(grandchild, child));
    }
  };
  ts.forEachChild(node, (child) => walk(child, node));
}

/** Whether `name`, a child of `parent`, is being declared. */
export function isDeclaration(name: ts.Identifier, parent: ts.Node): boolean {
  if (ts.isVariableDeclaration(parent) || ts.isParameter(parent) || ts.isBindingElement(parent)) {
    return parent.name === name;
  }
  return (ts.isFunctionLike(parent) || ts.isClassLike(parent)) && parent.name === name;
}

/** Every name declared below `node`, at any depth. */
export function declaredNames(node: ts.Node): Set<string> {
  const names = new Set<string>();
  forEachName(node, (name, parent) => {
    if (isDeclaration(name, parent)) names.add(name.text);
  });
  return names;
}

/** Every variable that is mentioned below `node`, declared there or not. */
export function mentionedNames(node: ts.Node): Set<string> {
  const names = new Set<string>();
  if (ts.isIdentifier(node)) names.add(node.text);
  forEachName(node, (name) => names.add(name.text));
  return names;
}

/** Whether `kind` is `=`, `+=` and the like. */
export function isAssignmentOperator(kind: ts.SyntaxKind): boolean {
  return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment;
}

/** What `node` itself assigns to, if it is an assignment, an increment, or the head of a loop over a variable that exists already. */
export function assignedBy(node: ts.Node): ts.Node | null {
  if (ts.isBinaryExpression(node) && isAssignmentOperator(node.operatorToken.kind)) return node.left;
  if (ts.isPostfixUnaryExpression(node)) return node.operand;
  if (ts.isPrefixUnaryExpression(node)) {
    const steps = node.operator === ts.SyntaxKind.PlusPlusToken || node.operator === ts.SyntaxKind.MinusMinusToken;
    return steps ? node.operand : null;
  }
  if (!ts.isForOfStatement(node) && !ts.isForInStatement(node)) return null;
  return ts.isVariableDeclarationList(node.initializer) ? null : node.initializer;
}

/** Which functions assign to each variable below `node`: the functions closest to the assignments, `node` itself outside of any. */
export function assignments(node: ts.Node): Map<string, Set<ts.Node>> {
  const found = new Map<string, Set<ts.Node>>();
  const add = (name: string, owner: ts.Node): void => {
    const owners = found.get(name) ?? new Set();
    found.set(name, owners.add(owner));
  };
  const walk = (child: ts.Node, owner: ts.Node): void => {
    const target = assignedBy(child);
    if (target !== null && ts.isIdentifier(target)) add(target.text, owner);
    else if (target !== null && isPattern(target)) for (const name of mentionedNames(target)) add(name, owner);
    const inner = ts.isFunctionLike(child) ? child : owner;
    ts.forEachChild(child, (grandchild) => walk(grandchild, inner));
  };
  walk(node, node);
  return found;
}

function isPattern(node: ts.Node): boolean {
  return ts.isArrayLiteralExpression(node) || ts.isObjectLiteralExpression(node);
}

/** How many nodes `node` consists of, parentheses and braces aside. */
export function sizeOf(node: ts.Node): number {
  let size = ts.isParenthesizedExpression(node) || ts.isBlock(node) ? 0 : 1;
  ts.forEachChild(node, (child) => {
    size += sizeOf(child);
  });
  return size;
}

/** Whether anything below `node`, or `node`, satisfies `test`. */
export function contains(node: ts.Node, test: (node: ts.Node) => boolean): boolean {
  return test(node) || ts.forEachChild(node, (child) => contains(child, test) || undefined) === true;
}
