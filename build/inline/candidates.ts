/**
 * Which top-level functions can be inlined, and as what: an expression where control flow allows it, else a list of statements.
 *
 *   function f(a) { if (a) return 1; g(); return 2; }      ─► a ? 1 : (g(), 2)
 *   function h(a) { for (...) if (...) return a; ... }     ─► statements, left by `break`
 */
import ts from "typescript";
import { assignments, contains, declaredNames, forEachName, isOnlyName, mentionedNames, sizeOf } from "./names";
import { type Step, stepsOf } from "./effects";

/** A parameter; `value` is its default, a constant. */
export interface Parameter {
  readonly name: string;
  readonly value: ts.Expression | null;
}

/** A function that can be inlined. */
export interface Candidate {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  /** Variables of its own, parameters aside. */
  readonly locals: ReadonlySet<string>;
  /** Variables and parameters that it assigns to. */
  readonly assigned: ReadonlySet<string>;
  /** Names that it takes from outside. */
  readonly free: ReadonlySet<string>;
  readonly body: readonly ts.Statement[];
  readonly size: number;
  /** The whole function as one expression, if that is possible. */
  readonly expression: ts.Expression | null;
  /** The steps of that expression, the function's own variables left out. */
  readonly steps: readonly Step[];
}

/** Names whose meaning depends on the function that they stand in, or on how deep the stack is. */
const BOUND_TO_PLACE = new Set(["arguments", "Error", "WARN_ON_ONCE"]);

/** Whether the function, as written, may be inlined at all, whatever its size. */
export function isInlinable(node: ts.FunctionDeclaration): boolean {
  if (node.body === undefined || node.asteriskToken !== undefined || node.modifiers !== undefined) return false;
  if (!node.parameters.every(isPlainParameter)) return false;
  const names = mentionedNames(node.body);
  for (const name of BOUND_TO_PLACE) if (names.has(name)) return false;
  return !contains(node.body, isBoundToFunction) && !isAmbiguous(node);
}

function isPlainParameter(node: ts.ParameterDeclaration): boolean {
  if (!ts.isIdentifier(node.name) || node.dotDotDotToken !== undefined) return false;
  return node.initializer === undefined || isConstant(node.initializer);
}

/** Whether an expression has one value, for ever and everywhere, and costs nothing. */
export function isConstant(node: ts.Expression): boolean {
  if (ts.isPrefixUnaryExpression(node)) return ts.isNumericLiteral(node.operand);
  if (ts.isVoidExpression(node)) return ts.isNumericLiteral(node.expression);
  if (ts.isNumericLiteral(node) || ts.isStringLiteral(node)) return true;
  return [ts.SyntaxKind.TrueKeyword, ts.SyntaxKind.FalseKeyword, ts.SyntaxKind.NullKeyword].includes(node.kind);
}

/** What cannot be moved into another function, or is not worth it. */
function isBoundToFunction(node: ts.Node): boolean {
  if (ts.isFunctionLike(node) || ts.isClassLike(node) || ts.isTryStatement(node)) return true;
  if (ts.isYieldExpression(node) || ts.isAwaitExpression(node) || ts.isMetaProperty(node)) return true;
  if (ts.isVariableDeclarationList(node)) return (node.flags & ts.NodeFlags.BlockScoped) === 0;
  if (ts.isObjectBindingPattern(node) || ts.isArrayBindingPattern(node)) return true;
  return node.kind === ts.SyntaxKind.ThisKeyword || node.kind === ts.SyntaxKind.SuperKeyword;
}

/** Whether one name stands for two variables, so that renaming by name would confuse them. */
function isAmbiguous(node: ts.FunctionDeclaration): boolean {
  const own = declaredNames(node);
  const visible: Set<string>[] = [];
  const isVisible = (name: string): boolean => visible.some((names) => names.has(name));
  const walk = (child: ts.Node): boolean => {
    const names = scopeOf(child);
    if (names !== null && [...names].some(isVisible)) return true;
    if (names !== null) visible.push(names);
    const found = ts.forEachChild(child, (inner) => (isStray(inner, child) || walk(inner) ? true : undefined)) === true;
    if (names !== null) visible.pop();
    return found;
  };
  const isStray = (name: ts.Node, parent: ts.Node): boolean => {
    if (!ts.isIdentifier(name) || !own.has(name.text) || isVisible(name.text)) return false;
    return name !== node.name && !isOnlyName(name, parent);
  };
  return walk(node);
}

/** The names that a function, a block, a loop or a switch declares for what is inside; null for anything else. */
function scopeOf(node: ts.Node): Set<string> | null {
  if (ts.isFunctionDeclaration(node)) return namesOf(node.parameters);
  if (ts.isForStatement(node) || ts.isForOfStatement(node) || ts.isForInStatement(node)) {
    const head = node.initializer;
    return head !== undefined && ts.isVariableDeclarationList(head) ? namesOf(head.declarations) : null;
  }
  const statements = ts.isBlock(node)
    ? node.statements
    : ts.isCaseBlock(node)
    ? node.clauses.flatMap((c) => [...c.statements])
    : null;
  if (statements === null) return null;
  return namesOf(statements.flatMap((s) => (ts.isVariableStatement(s) ? [...s.declarationList.declarations] : [])));
}

function namesOf(declarations: readonly (ts.VariableDeclaration | ts.ParameterDeclaration)[]): Set<string> {
  return new Set(declarations.map(({ name }) => (name as ts.Identifier).text));
}

/** Whether a function can only end in an exception, `endless` being others that do. */
export function neverReturns(node: ts.FunctionDeclaration, endless: ReadonlySet<string>): boolean {
  const last = node.body?.statements[node.body.statements.length - 1];
  if (last === undefined || ts.isThrowStatement(last)) return last !== undefined;
  const value = ts.isReturnStatement(last) || ts.isExpressionStatement(last) ? last.expression : undefined;
  return (
    value !== undefined &&
    ts.isCallExpression(value) &&
    ts.isIdentifier(value.expression) &&
    endless.has(value.expression.text)
  );
}

/** Describes an inlinable function in whose body everything has been inlined already. */
export function candidateOf(node: ts.FunctionDeclaration, changing: ReadonlySet<string>): Candidate {
  const body = node.body as ts.Block;
  const parameters = node.parameters.map(({ name, initializer }) => ({
    name: (name as ts.Identifier).text,
    value: initializer ?? null,
  }));
  const parameterNames = new Set(parameters.map(({ name }) => name));
  const locals = declaredNames(body);
  const free = new Set<string>();
  forEachName(body, ({ text }) => {
    if (!locals.has(text) && !parameterNames.has(text)) free.add(text);
  });
  const expression = expressionOf(body.statements);
  const assigned = new Set(assignments(body).keys());
  const steps =
    expression === null
      ? []
      : stepsOf(expression, (name) =>
          parameterNames.has(name)
            ? assigned.has(name)
              ? "fixed"
              : "parameter"
            : changing.has(name) && !locals.has(name)
            ? "variable"
            : "fixed",
        );
  const size = sizeOf(body);
  return {
    name: node.name?.text ?? "",
    parameters,
    locals,
    assigned,
    free,
    body: body.statements,
    size,
    expression,
    steps,
  };
}

const f = ts.factory;

/** `void 0`. */
export function undefinedValue(): ts.Expression {
  return f.createVoidExpression(f.createNumericLiteral(0));
}

/** Statements that end a function as one expression with the same value: local variables become assignments. Null if they have loops and such. */
function expressionOf(statements: readonly ts.Statement[]): ts.Expression | null {
  if (statements.length === 0) return undefinedValue();
  const [first, ...rest] = statements;
  if (ts.isReturnStatement(first)) return first.expression ?? undefinedValue();
  if (ts.isIfStatement(first)) return choiceOf(first, rest);
  if (ts.isBlock(first)) return expressionOf([...first.statements, ...rest]);
  const effect = effectOf(first);
  const after = effect === null ? null : expressionOf(rest);
  return effect === null || after === null ? null : sequence([...effect, after]);
}

function choiceOf(node: ts.IfStatement, rest: readonly ts.Statement[]): ts.Expression | null {
  const simple = effectOf(node);
  if (simple !== null) {
    const after = expressionOf(rest);
    return after === null ? null : sequence([...simple, after]);
  }
  const otherwise = node.elseStatement === undefined ? [] : [node.elseStatement];
  if (rest.length > 0 && !leaves(node.thenStatement) && !(node.elseStatement && leaves(node.elseStatement)))
    return null;
  const whenTrue = expressionOf(leaves(node.thenStatement) ? [node.thenStatement] : [node.thenStatement, ...rest]);
  const elseLeaves = node.elseStatement !== undefined && leaves(node.elseStatement);
  const whenFalse = expressionOf(elseLeaves ? otherwise : [...otherwise, ...rest]);
  if (whenTrue === null || whenFalse === null) return null;
  return f.createConditionalExpression(
    grouped(node.expression),
    undefined,
    grouped(whenTrue),
    undefined,
    grouped(whenFalse),
  );
}

/** Whether a statement always ends in `return`. */
export function leaves(node: ts.Statement | undefined): boolean {
  if (node === undefined) return false;
  if (ts.isReturnStatement(node) || ts.isThrowStatement(node)) return true;
  if (ts.isBlock(node)) return leaves(node.statements[node.statements.length - 1]);
  return ts.isIfStatement(node) && leaves(node.thenStatement) && leaves(node.elseStatement);
}

/** A statement that does not leave as the expressions that do the same; null if there are none. */
function effectOf(node: ts.Statement): ts.Expression[] | null {
  if (ts.isEmptyStatement(node)) return [];
  if (ts.isExpressionStatement(node)) return [node.expression];
  if (ts.isBlock(node)) return all(node.statements.map(effectOf));
  if (ts.isVariableStatement(node)) return all(node.declarationList.declarations.map((d) => initialization(node, d)));
  if (!ts.isIfStatement(node)) return null;
  const then = effectOf(node.thenStatement);
  const otherwise = node.elseStatement === undefined ? [] : effectOf(node.elseStatement);
  if (then === null || otherwise === null) return null;
  const condition = grouped(node.expression);
  if (otherwise.length === 0) return [f.createLogicalAnd(condition, grouped(sequence(then)))];
  return [
    f.createConditionalExpression(
      condition,
      undefined,
      grouped(sequence(then)),
      undefined,
      grouped(sequence(otherwise)),
    ),
  ];
}

/** The assignment that a declaration becomes. A `var` is the inliner's own, and assigned before it is used. */
export function initialization(node: ts.VariableStatement, declaration: ts.VariableDeclaration): ts.Expression[] {
  const isOurs = (node.declarationList.flags & ts.NodeFlags.BlockScoped) === 0;
  if (declaration.initializer === undefined && isOurs) return [];
  const value = declaration.initializer ?? undefinedValue();
  return [ts.setTextRange(f.createAssignment(declaration.name as ts.Identifier, value), declaration)];
}

function all(lists: readonly (ts.Expression[] | null)[]): ts.Expression[] | null {
  return lists.includes(null) ? null : (lists as ts.Expression[][]).flat();
}

/** `(a, b, c)`; `void 0` of nothing. */
export function sequence(expressions: readonly ts.Expression[]): ts.Expression {
  if (expressions.length === 0) return undefinedValue();
  return expressions.reduce((left, right) => f.createComma(left, right));
}

/** `node` in parentheses if it needs any anywhere. */
export function grouped(node: ts.Expression): ts.Expression {
  const plain =
    ts.isIdentifier(node) ||
    ts.isLiteralExpression(node) ||
    ts.isPropertyAccessExpression(node) ||
    ts.isParenthesizedExpression(node);
  return plain && !ts.isOptionalChain(node) && !ts.isNumericLiteral(node)
    ? node
    : f.createParenthesizedExpression(node);
}
