/**
 * Turns `let` and `const` inside functions into `var` where nobody could tell. QuickJS marks every block-scoped variable as uninitialised at each
 * entry of its block and looks at the mark at each use; both cost as much as real work does.
 *
 * Only the keyword changes, and no length does: a source map of the code stays right. The bundle's own top level keeps its `const`s, which V8
 * takes for constants.
 */
import ts from "typescript";

/** One `let` or `const` statement or loop head. */
interface Declaration {
  readonly list: ts.VariableDeclarationList;
  readonly names: readonly string[];
  /** What it is visible in. */
  readonly scope: ts.Node;
  readonly isRepeated: boolean;
  /** Whether it gives its variables a value whenever it is reached. */
  readonly isInitialised: boolean;
}

/** A use of a name. */
interface Use {
  readonly node: ts.Identifier;
  readonly isInClosure: boolean;
}

/** Returns the code with the keywords changed. */
export function widenScopes(code: string): string {
  const file = ts.createSourceFile("bundle.js", code, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS);
  const lists: ts.VariableDeclarationList[] = [];
  const visit = (node: ts.Node, depth: number): void => {
    const isFunction = isBodied(node);
    if (isFunction && depth > 0) lists.push(...widened(node));
    ts.forEachChild(node, (child) => visit(child, isFunction ? depth + 1 : depth));
  };
  visit(file, 0);
  return replaceKeywords(code, lists);
}

function replaceKeywords(code: string, lists: readonly ts.VariableDeclarationList[]): string {
  let result = "";
  let end = 0;
  for (const list of [...lists].sort((a, b) => a.getStart() - b.getStart())) {
    const keyword = (list.flags & ts.NodeFlags.Const) !== 0 ? "const" : "let";
    const start = list.getStart();
    result += code.slice(end, start) + "var".padEnd(keyword.length);
    end = start + keyword.length;
  }
  return result + code.slice(end);
}

function isBodied(node: ts.Node): node is ts.FunctionLikeDeclaration {
  return ts.isFunctionLike(node) && "body" in node && node.body !== undefined;
}

/** The declarations of a function, nested ones aside, that may become `var`. */
function widened(owner: ts.FunctionLikeDeclaration): ts.VariableDeclarationList[] {
  const declarations: Declaration[] = [];
  const uses = new Map<string, Use[]>();
  const fixed = new Set<string>(owner.parameters.flatMap((parameter) => boundNames(parameter.name)));
  collect(owner, owner.body as ts.Node, declarations, uses, fixed);
  const byName = new Map<string, Declaration[]>();
  for (const declaration of declarations) {
    for (const name of declaration.names) byName.set(name, [...(byName.get(name) ?? []), declaration]);
  }
  const stays = (name: string): boolean =>
    fixed.has(name) || !isFree(byName.get(name) as Declaration[], uses.get(name) ?? []);
  return declarations.filter(({ names }) => !names.some(stays)).map(({ list }) => list);
}

/** Whether one variable of the whole function can stand for all declarations of a name. */
function isFree(declarations: readonly Declaration[], uses: readonly Use[]): boolean {
  if (declarations.some((one) => declarations.some((other) => one !== other && contains(one.scope, other.scope))))
    return false;
  if (declarations.some((one) => !one.isInitialised && (one.isRepeated || declarations.length > 1))) return false;
  if (!uses.every(({ node }) => declarations.some(({ scope }) => contains(scope, node)))) return false;
  const isCaptured = uses.some(({ isInClosure }) => isInClosure);
  return !isCaptured || (declarations.length === 1 && !declarations[0].isRepeated);
}

function contains(outer: ts.Node, inner: ts.Node): boolean {
  return outer.pos <= inner.pos && inner.end <= outer.end;
}

/** Gathers a function's declarations, the uses of names in it, and the names that must stay what they are. */
function collect(
  owner: ts.Node,
  root: ts.Node,
  declarations: Declaration[],
  uses: Map<string, Use[]>,
  fixed: Set<string>,
): void {
  const visit = (node: ts.Node, isInClosure: boolean): void => {
    if (ts.isIdentifier(node) && isReference(node)) {
      uses.set(node.text, [...(uses.get(node.text) ?? []), { node, isInClosure }]);
    }
    if (!isInClosure && ts.isVariableDeclarationList(node)) {
      if ((node.flags & ts.NodeFlags.BlockScoped) !== 0) declarations.push(declarationOf(owner, node));
      else for (const { name } of node.declarations) for (const bound of boundNames(name)) fixed.add(bound);
    }
    const named = ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node);
    if (!isInClosure && named && node.name !== undefined) fixed.add(node.name.text);
    const isClosure = ts.isFunctionLike(node) || ts.isClassLike(node);
    ts.forEachChild(node, (child) => visit(child, isInClosure || isClosure));
  };
  visit(root, false);
}

function declarationOf(owner: ts.Node, list: ts.VariableDeclarationList): Declaration {
  const { parent } = list;
  const isLoopHead = !ts.isVariableStatement(parent);
  const isEach = ts.isForOfStatement(parent) || ts.isForInStatement(parent);
  let isRepeated = isLoopHead;
  for (let node: ts.Node = parent; node !== owner; node = node.parent) {
    if (ts.isIterationStatement(node, false) || ts.isLabeledStatement(node)) isRepeated = true;
  }
  return {
    list,
    names: list.declarations.flatMap(({ name }) => boundNames(name)),
    scope: isLoopHead ? parent : parent.parent,
    isRepeated,
    isInitialised: isEach || list.declarations.every(({ initializer }) => initializer !== undefined),
  };
}

/** Whether an identifier names a variable: not a property, a label or a key. */
function isReference(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent) || ts.isMethodDeclaration(parent) || ts.isPropertyDeclaration(parent)) {
    return parent.name !== node;
  }
  return true;
}

function boundNames(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) => (ts.isBindingElement(element) ? boundNames(element.name) : []));
}
