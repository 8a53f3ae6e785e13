/**
 * Copies of a function's body with other names, and with arguments in the place of parameters.
 *
 * An argument takes its parameter's place if evaluating it there, instead of before the body, cannot be told apart; otherwise a new variable
 * takes it: `f(a.b, c)` with `function f(x, y) { return g(y) + x + x; }` becomes `(x$1 = a.b, g(c) + x$1 + x$1)`.
 */
import ts from "typescript";
import type { Caller } from "./caller";
import { type Candidate, grouped, initialization, isConstant, sequence, undefinedValue } from "./candidates";
import { type Step, conflict } from "./effects";
import { contains, isOnlyName } from "./names";

const f = ts.factory;

/** What stands in a copy for the function's own names. */
export type Names = ReadonlyMap<string, ts.Expression>;

/** Copies `node`, replacing names that stand for variables. */
export function copy<T extends ts.Node>(node: T, names: Names, context: ts.TransformationContext): T {
  const visit = (part: ts.Node, parent: ts.Node): ts.Node => {
    if (ts.isIdentifier(part)) return isOnlyName(part, parent) ? part : at(part, names.get(part.text));
    if (ts.isShorthandPropertyAssignment(part)) {
      const value = names.get(part.name.text);
      return value === undefined ? part : f.createPropertyAssignment(part.name.text, value);
    }
    return ts.visitEachChild(part, (child) => visit(child, part), context);
  };
  return visit(node, node.parent ?? node) as T;
}

/** What replaces `name`; a name in its place keeps the place. */
function at(name: ts.Identifier, value: ts.Expression | undefined): ts.Expression {
  if (value === undefined || !ts.isIdentifier(value)) return value ?? name;
  return ts.setSourceMapRange(f.createIdentifier(value.text), ts.getSourceMapRange(name));
}

/** The value of parameter `index` in a call; its default if the call says nothing. Null if only the call itself can tell. */
export function argumentFor(call: ts.CallExpression, callee: Candidate, index: number): ts.Expression | null {
  const given = call.arguments[index];
  const { value } = callee.parameters[index];
  if (given === undefined) return value ?? undefinedValue();
  if (value === null || isDefined(given)) return given;
  if (!ts.isIdentifier(given)) return null;
  const isMissing = f.createStrictEquality(given, undefinedValue());
  return f.createParenthesizedExpression(f.createConditionalExpression(isMissing, undefined, value, undefined, given));
}

function isDefined(node: ts.Expression): boolean {
  if (ts.isVoidExpression(node)) return false;
  return (
    isConstant(node) ||
    ts.isTemplateLiteral(node) ||
    ts.isObjectLiteralExpression(node) ||
    ts.isArrayLiteralExpression(node)
  );
}

/** Whether `callee` can be inlined at `call` as far as arguments and outer names go. */
export function fits(call: ts.CallExpression, callee: Candidate, caller: Caller): boolean {
  if (call.questionDotToken !== undefined || call.arguments.some(ts.isSpreadElement)) return false;
  if (call.arguments.length > callee.parameters.length) return false;
  for (const name of callee.free) if (caller.surroundings.declared.has(name)) return false;
  return callee.parameters.every((_, index) => argumentFor(call, callee, index) !== null);
}

/** An argument on its way to a parameter. */
interface Passing {
  readonly parameter: string;
  readonly value: ts.Expression;
  readonly steps: readonly Step[];
  /** Whether it stands in the parameter's place. */
  direct: boolean;
}

/** The call as an expression, or null if it cannot be one. */
export function expand(
  call: ts.CallExpression,
  callee: Candidate,
  caller: Caller,
  context: ts.TransformationContext,
): ts.Expression | null {
  if (callee.expression === null || !fits(call, callee, caller)) return null;
  const passings = passingsOf(call, callee, caller);
  while (!keepsOrder(passings, callee.steps));
  const names = new Map<string, ts.Expression>();
  const before: ts.Expression[] = [];
  for (const { parameter, value, direct } of passings) {
    if (!direct) before.push(f.createAssignment(variable(parameter, names, caller), value));
    else names.set(parameter, grouped(value));
  }
  for (const name of callee.locals) variable(name, names, caller);
  return f.createParenthesizedExpression(sequence([...before, copy(callee.expression, names, context)]));
}

/** A new variable that stands for `name`. */
export function variable(name: string, names: Map<string, ts.Expression>, caller: Caller): ts.Identifier {
  const created = f.createIdentifier(caller.borrow(name));
  names.set(name, created);
  return created;
}

function passingsOf(call: ts.CallExpression, callee: Candidate, caller: Caller): Passing[] {
  const assigns = call.arguments.some((argument) => caller.assignsIn(argument));
  return callee.parameters.map(({ name }, index) => {
    const value = argumentFor(call, callee, index) as ts.Expression;
    const steps = caller.steps(value);
    const uses = callee.steps.filter((step) => step.kind === "use" && step.name === name);
    const direct = !callee.assigned.has(name) && (!assigns || isConstant(value)) && canStand(value, steps, uses);
    return { parameter: name, value, steps, direct };
  });
}

/** Whether an argument may be evaluated where its parameter is used, as far as the number of times goes. */
function canStand(value: ts.Expression, steps: readonly Step[], uses: readonly Step[]): boolean {
  if (isSimple(value) && steps.every(({ kind }) => kind === "peek")) return true;
  if (steps.length === 0) return uses.length <= 1;
  return uses.length === 1 && (uses[0].sure || steps.every(({ kind }) => kind === "peek"));
}

/** Whether evaluating an expression often costs no more than a variable. */
export function isSimple(value: ts.Expression): boolean {
  return isConstant(value) || ts.isIdentifier(value) || value.kind === ts.SyntaxKind.ThisKeyword;
}

/** Whether all arguments may stand where they do. If not, the first one that may not gets a variable, and the question is open again. */
function keepsOrder(passings: readonly Passing[], body: readonly Step[]): boolean {
  const order: { step: Step; at: number }[] = [];
  const put = (at: number): void => passings[at].steps.forEach((step) => order.push({ step, at }));
  passings.forEach((passing, at) => {
    if (!passing.direct) put(at);
  });
  for (const step of body) {
    const at = step.kind === "use" ? passings.findIndex(({ parameter }) => parameter === step.name) : passings.length;
    if (at === passings.length) order.push({ step, at });
    else if (passings[at].direct) put(at);
  }
  for (let late = 1; late < order.length; late++) {
    for (let early = 0; early < late; early++) {
      const [a, b] = [order[early], order[late]];
      if (a.at <= b.at || !conflict(a.step, b.step)) continue;
      // `b` belongs before `a`. It is an argument in its parameter's place: variables are assigned in order, and the body comes last.
      passings[b.at].direct = false;
      return false;
    }
  }
  return true;
}

/** What statements become in a copy: where a `return` puts its value, and how it leaves. */
export interface Exit {
  /** Statements that take the value; `value` is undefined for a plain `return`. */
  take(value: ts.Expression | undefined): ts.Statement[];
  /** What goes on after them, unless the end is near anyway. */
  leave(): ts.Statement[];
}

/** Copies the statements of a function for a caller. `isLast`: whether leaving is what comes next anyway. */
export function copyStatements(
  statements: readonly ts.Statement[],
  exit: Exit,
  names: Names,
  context: ts.TransformationContext,
  isLast = true,
): ts.Statement[] {
  const within = (node: ts.Statement | undefined, last: boolean): ts.Statement | undefined =>
    node && f.createBlock(copyStatements(ts.isBlock(node) ? node.statements : [node], exit, names, context, last));
  const copied = <T extends ts.Node>(node: T): T => copy(node, names, context);
  return statements.flatMap((node, index): ts.Statement[] => {
    const last = isLast && index === statements.length - 1;
    if (ts.isReturnStatement(node))
      return [...exit.take(node.expression && copied(node.expression)), ...(last ? [] : exit.leave())];
    if (ts.isBlock(node)) return [within(node, last) as ts.Statement];
    if (ts.isVariableStatement(node)) {
      const made = node.declarationList.declarations.flatMap((declaration) => initialization(node, declaration));
      return made.map((assignment) => f.createExpressionStatement(copied(assignment)));
    }
    if (ts.isIfStatement(node)) {
      return [
        f.updateIfStatement(
          node,
          copied(node.expression),
          within(node.thenStatement, last) as ts.Statement,
          within(node.elseStatement, last),
        ),
      ];
    }
    return [copyLoop(node, copied, (inner) => within(inner, false) as ts.Statement)];
  });
}

type Copied = <T extends ts.Node>(node: T) => T;

function copyLoop(node: ts.Statement, copied: Copied, within: (node: ts.Statement) => ts.Statement): ts.Statement {
  if (ts.isForStatement(node)) {
    const head = headOf(node.initializer, copied);
    return f.updateForStatement(
      node,
      head,
      node.condition && copied(node.condition),
      node.incrementor && copied(node.incrementor),
      within(node.statement),
    );
  }
  if (ts.isForOfStatement(node)) {
    const { initializer } = node;
    // Stays a declaration: terser would move what comes before the loop into the head, where QuickJS cannot compile `yield*`.
    const head = ts.isVariableDeclarationList(initializer)
      ? f.createVariableDeclarationList(
          [f.createVariableDeclaration(copied(initializer.declarations[0].name))],
          initializer.flags,
        )
      : copied(initializer);
    return f.updateForOfStatement(node, undefined, head, copied(node.expression), within(node.statement));
  }
  if (ts.isWhileStatement(node)) return f.updateWhileStatement(node, copied(node.expression), within(node.statement));
  if (ts.isDoStatement(node)) return f.updateDoStatement(node, within(node.statement), copied(node.expression));
  if (ts.isLabeledStatement(node)) return f.updateLabeledStatement(node, node.label, within(node.statement));
  if (!ts.isSwitchStatement(node)) return copied(node);
  const clauses = node.caseBlock.clauses.map((clause) => {
    const statements = [within(f.createBlock(clause.statements))];
    if (ts.isDefaultClause(clause)) return f.updateDefaultClause(clause, statements);
    return f.updateCaseClause(clause, copied(clause.expression), statements);
  });
  return f.updateSwitchStatement(node, copied(node.expression), f.updateCaseBlock(node.caseBlock, clauses));
}

function headOf(head: ts.ForInitializer | undefined, copied: Copied): ts.Expression | undefined {
  if (head === undefined || !ts.isVariableDeclarationList(head)) return head && copied(head);
  const made = head.declarations.map(({ name, initializer }) =>
    f.createAssignment(
      copied(name as ts.Identifier),
      initializer === undefined ? undefinedValue() : copied(initializer),
    ),
  );
  return sequence(made);
}

/** Whether statements that are not expressions are all of a kind that can be copied. */
export function isCopyable(statements: readonly ts.Statement[]): boolean {
  return !statements.some((node) =>
    contains(node, (part) => ts.isForInStatement(part) || (ts.isContinueStatement(part) && part.label !== undefined)),
  );
}
