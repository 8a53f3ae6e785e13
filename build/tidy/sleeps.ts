/**
 * Atomic or sleeping is a type. A function that may sleep returns `Sleeps<T>`, a generator that does nothing until somebody runs it; a forgotten
 * `yield*` compiles and does nothing. These checks find it, and the sleeping function that is handed to somebody who will not run it.
 */
import ts from "typescript";
import { type Check, type Finding, type Project, descendants, findingAt, isGuest } from "./project";

function guestSources(project: Project): ts.SourceFile[] {
  return project.sources.filter((source) => isGuest(project.pathOf(source)));
}

/** Whether the type is `Sleeps<T>`: a generator that yields nothing. */
function isSleeps(checker: ts.TypeChecker, type: ts.Type): boolean {
  if (type.symbol?.name !== "Generator") return false;
  const [yields] = checker.getTypeArguments(type as ts.TypeReference);
  return yields !== undefined && (yields.flags & (ts.TypeFlags.Void | ts.TypeFlags.Undefined)) !== 0;
}

/** Whether the type is, or has in its union, `Sleeps<T>`. */
function mayBeSleeps(checker: ts.TypeChecker, type: ts.Type): boolean {
  return type.isUnion() ? type.types.some((part) => isSleeps(checker, part)) : isSleeps(checker, type);
}

/** The outermost expression that has the same value. */
function unwrapped(node: ts.Expression): ts.Expression {
  let outer = node;
  for (;;) {
    const { parent } = outer;
    const wraps = ts.isParenthesizedExpression(parent) || ts.isAsExpression(parent) || ts.isNonNullExpression(parent);
    const branch = ts.isConditionalExpression(parent) && parent.condition !== outer;
    const fallback = ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken;
    if (!wraps && !branch && !fallback) return outer;
    outer = parent;
  }
}

/** Every call that gives a `Sleeps` is run, returned, or handed to somebody who says that he takes one. */
export const sleepsUsed: Check = {
  name: "sleeps-used",
  *run(project) {
    for (const source of guestSources(project)) {
      for (const node of descendants(source)) {
        if (!ts.isCallExpression(node)) continue;
        const type = project.checker.getTypeAtLocation(node);
        if (!mayBeSleeps(project.checker, type)) continue;
        const problem = dropped(project.checker, unwrapped(node), type);
        if (problem !== null) yield findingAt(project, "sleeps-used", node, problem);
      }
    }
  },
};

function dropped(checker: ts.TypeChecker, node: ts.Expression, type: ts.Type): string | null {
  const { parent } = node;
  const name = ts.isCallExpression(node) ? node.expression.getText() : "the call";
  if (ts.isExpressionStatement(parent) || ts.isVoidExpression(parent))
    return `${name} may sleep: without yield* it does nothing`;
  if (ts.isYieldExpression(parent) && parent.asteriskToken !== undefined) return null;
  if (ts.isReturnStatement(parent) || (ts.isArrowFunction(parent) && parent.body === node)) return null;
  if (type.isUnion() || takesSleeps(checker, node)) return null;
  return `${name} may sleep: its value must be the operand of yield*, returned, or handed on as Sleeps`;
}

/** Whether the place where the expression stands is declared to take a `Sleeps`. */
function takesSleeps(checker: ts.TypeChecker, node: ts.Expression): boolean {
  const { parent } = node;
  const assigned = ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.EqualsToken;
  const declared = assigned ? checker.getTypeAtLocation(parent.left) : checker.getContextualType(node);
  return declared !== undefined && mayBeSleeps(checker, checker.getNonNullableType(declared));
}

/** No function that may sleep is given where a plain callback is declared. */
export const sleepsCallbacks: Check = {
  name: "sleeps-callbacks",
  *run(project) {
    for (const source of guestSources(project)) {
      for (const node of descendants(source)) {
        if (ts.isObjectLiteralExpression(node)) yield* generatorMethods(project, node);
        if (!isHandedOver(node) || !isCallback(project.checker, node)) continue;
        const declared = project.checker.getContextualType(node) ?? assignedType(project.checker, node);
        if (declared === undefined || !refusesSleeps(project.checker, declared)) continue;
        yield findingAt(
          project,
          "sleeps-callbacks",
          node,
          `${shortText(node)} may sleep, but a plain callback is called here`,
        );
      }
    }
  },
};

/** An expression that goes to somebody else: an argument, a property's value, an assigned or initial value, a returned one. */
function isHandedOver(node: ts.Node): node is ts.Expression {
  const { parent } = node;
  if (parent === undefined) return false;
  if (ts.isCallExpression(parent) || ts.isNewExpression(parent))
    return parent.expression !== node && ts.isExpression(node);
  if (ts.isPropertyAssignment(parent) || ts.isVariableDeclaration(parent) || ts.isPropertyDeclaration(parent)) {
    return parent.initializer === node;
  }
  if (ts.isShorthandPropertyAssignment(parent)) return parent.name === node;
  if (ts.isBinaryExpression(parent))
    return parent.right === node && parent.operatorToken.kind === ts.SyntaxKind.EqualsToken;
  return ts.isReturnStatement(parent) || ts.isArrayLiteralExpression(parent);
}

function assignedType(checker: ts.TypeChecker, node: ts.Expression): ts.Type | undefined {
  const { parent } = node;
  if (ts.isBinaryExpression(parent)) return checker.getTypeAtLocation(parent.left);
  if (!ts.isShorthandPropertyAssignment(parent)) return undefined;
  const object = checker.getContextualType(parent.parent);
  const property = object?.getProperty(parent.name.text);
  return property && checker.getTypeOfSymbolAtLocation(property, node);
}

/** Whether the expression is a function that may sleep. */
function isCallback(checker: ts.TypeChecker, node: ts.Expression): boolean {
  const kinds = [ts.isIdentifier, ts.isPropertyAccessExpression, ts.isFunctionExpression, ts.isArrowFunction];
  if (!kinds.some((is) => is(node))) return false;
  const parent = node.parent;
  const type = ts.isShorthandPropertyAssignment(parent)
    ? shorthandType(checker, parent)
    : checker.getTypeAtLocation(node);
  return type !== undefined && returnsOf(checker, type).some((returned) => mayBeSleeps(checker, returned));
}

function shorthandType(checker: ts.TypeChecker, node: ts.ShorthandPropertyAssignment): ts.Type | undefined {
  const symbol = checker.getShorthandAssignmentValueSymbol(node);
  return symbol && checker.getTypeOfSymbolAtLocation(symbol, node);
}

/** Whether a function is wanted, and none that may sleep. */
function refusesSleeps(checker: ts.TypeChecker, declared: ts.Type): boolean {
  const returned = returnsOf(checker, checker.getNonNullableType(declared));
  if (returned.length === 0) return false;
  return !returned.some(
    (type) => mayBeSleeps(checker, type) || (type.flags & (ts.TypeFlags.Unknown | ts.TypeFlags.TypeParameter)) !== 0,
  );
}

function returnsOf(checker: ts.TypeChecker, type: ts.Type): ts.Type[] {
  const parts = type.isUnion() ? type.types : [type];
  return parts.flatMap((part) =>
    part.getCallSignatures().map((signature) => checker.getReturnTypeOfSignature(signature)),
  );
}

/** `{ *probe() {} }` where `probe` is declared plain. */
function* generatorMethods(project: Project, node: ts.ObjectLiteralExpression): Generator<Finding, void, void> {
  const methods = node.properties.filter((property) => ts.isMethodDeclaration(property));
  const declared = methods.length > 0 ? project.checker.getContextualType(node) : undefined;
  for (const method of methods) {
    const wanted = declared?.getProperty(method.name.getText());
    const own = returnsOf(project.checker, project.checker.getTypeAtLocation(method));
    if (wanted === undefined || !own.some((type) => mayBeSleeps(project.checker, type))) continue;
    if (!refusesSleeps(project.checker, project.checker.getTypeOfSymbolAtLocation(wanted, method))) continue;
    yield findingAt(
      project,
      "sleeps-callbacks",
      method,
      `${method.name.getText()} may sleep, but it is declared plain`,
    );
  }
}

function shortText(node: ts.Node): string {
  return ts.isIdentifier(node) || ts.isPropertyAccessExpression(node) ? node.getText() : "the function";
}
