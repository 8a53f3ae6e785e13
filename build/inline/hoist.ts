/**
 * Inlines calls as statements: the body goes before the statement that contained the call, and leaves by `break`.
 *
 *   const x = f(a);   ─►   let x; inlined$1: { if (a.b) { x = 1; break inlined$1; } ... x = 2; }
 *
 * Only a call that is the first thing that its statement does, and always does, can move there.
 */
import ts from "typescript";
import type { Caller } from "./caller";
import { type Candidate, leaves, undefinedValue } from "./candidates";
import { type Exit, argumentFor, copyStatements, fits, isCopyable, isSimple, variable } from "./substitute";

const f = ts.factory;

/** Finds what a call calls, if that can be inlined here. */
export type Lookup = (call: ts.CallExpression) => Candidate | null;

/** Where a result goes. */
type Result =
  | { readonly to: "nowhere" }
  | { readonly to: "caller" }
  | { readonly to: "variable"; readonly variable: ts.Identifier };

/** Gives every inlined block of a bundle its own label. */
export class Labels {
  private count = 0;

  next(): string {
    return `inlined$${++this.count}`;
  }
}

/** Statements with the calls of `node` inlined that are the first thing it does; `node` itself if there are none. */
export class Hoister {
  constructor(
    private readonly caller: Caller,
    private readonly lookup: Lookup,
    private readonly grow: (size: number) => void,
    private readonly labels: Labels,
    private readonly context: ts.TransformationContext,
  ) {}

  hoist(node: ts.Statement): ts.Statement[] {
    const whole = this.wholeStatement(node);
    if (whole !== null) return whole;
    const head = headOf(node);
    const call = head === undefined ? null : this.firstCall(head);
    if (call === null) return [node];
    const result = f.createIdentifier(this.caller.borrow(nameOf(call)));
    const block = this.inline(call, { to: "variable", variable: result });
    return [...block, ...this.hoist(replaceIn(node, call, result, this.context))];
  }

  /** A statement that consists of one call, and perhaps of what takes its result. */
  private wholeStatement(node: ts.Statement): ts.Statement[] | null {
    if (ts.isReturnStatement(node)) return this.inlineIf(node.expression, { to: "caller" });
    if (ts.isExpressionStatement(node)) return this.expressionStatement(node.expression);
    if (!ts.isVariableStatement(node) || node.declarationList.declarations.length !== 1) return null;
    const [{ name, initializer }] = node.declarationList.declarations;
    if (!ts.isIdentifier(name)) return null;
    const block = this.inlineIf(initializer, { to: "variable", variable: name });
    if (block === null) return null;
    const list = f.createVariableDeclarationList([f.createVariableDeclaration(name)], ts.NodeFlags.Let);
    return [f.createVariableStatement(undefined, list), ...block];
  }

  private expressionStatement(expression: ts.Expression): ts.Statement[] | null {
    const isAssignment =
      ts.isBinaryExpression(expression) && expression.operatorToken.kind === ts.SyntaxKind.EqualsToken;
    if (!isAssignment) return this.inlineIf(expression, { to: "nowhere" });
    const { left, right } = expression;
    if (!ts.isIdentifier(left) || !this.caller.surroundings.declared.has(left.text)) return null;
    return this.caller.meaning(left.text) === "fixed" ? this.inlineIf(right, { to: "variable", variable: left }) : null;
  }

  private inlineIf(node: ts.Expression | undefined, result: Result): ts.Statement[] | null {
    const call = node && ts.skipPartiallyEmittedExpressions(node);
    return call && ts.isCallExpression(call) && this.calleeOf(call) !== null ? this.inline(call, result) : null;
  }

  private calleeOf(call: ts.CallExpression): Candidate | null {
    const callee = this.lookup(call);
    return callee !== null && isCopyable(callee.body) && fits(call, callee, this.caller) ? callee : null;
  }

  /** The first thing that an expression does, if that is a call that can be inlined. */
  private firstCall(head: ts.Expression): ts.CallExpression | null {
    for (const { kind, sure, call, start } of this.caller.steps(head)) {
      if (call === undefined && kind !== "effect") continue;
      if (call === undefined || !sure || start !== 0) return null;
      if (this.calleeOf(call) !== null) return call.arguments.some((a) => this.caller.assignsIn(a)) ? null : call;
    }
    return null;
  }

  private inline(call: ts.CallExpression, result: Result): ts.Statement[] {
    const callee = this.calleeOf(call) as Candidate;
    this.grow(callee.size);
    const names = new Map<string, ts.Expression>();
    const before = this.passArguments(call, callee, names);
    for (const name of callee.locals) variable(name, names, this.caller);
    const label = this.labels.next();
    const exit = exitOf(result, label);
    const body = copyStatements(callee.body, exit, names, this.context);
    if (!leaves(callee.body[callee.body.length - 1])) body.push(...endOf(result));
    const block = f.createBlock([...before, ...body]);
    return exit.isUsed() ? [f.createLabeledStatement(label, block)] : [block];
  }

  private passArguments(call: ts.CallExpression, callee: Candidate, names: Map<string, ts.Expression>): ts.Statement[] {
    const assigns = call.arguments.some((argument) => this.caller.assignsIn(argument));
    return callee.parameters.flatMap(({ name }, index) => {
      const value = argumentFor(call, callee, index) as ts.Expression;
      const isFixed = !assigns && isSimple(value) && this.caller.steps(value).length === 0;
      if (isFixed && !callee.assigned.has(name)) {
        names.set(name, value);
        return [];
      }
      return [f.createExpressionStatement(f.createAssignment(variable(name, names, this.caller), value))];
    });
  }
}

/** The expression that a statement evaluates before anything else. */
function headOf(node: ts.Statement): ts.Expression | undefined {
  if (ts.isVariableStatement(node)) return node.declarationList.declarations[0].initializer;
  if (ts.isExpressionStatement(node) || ts.isReturnStatement(node)) return node.expression;
  return ts.isIfStatement(node) || ts.isSwitchStatement(node) || ts.isThrowStatement(node)
    ? node.expression
    : undefined;
}

function nameOf(call: ts.CallExpression): string {
  return ts.isIdentifier(call.expression) ? call.expression.text : "result";
}

function replaceIn<T extends ts.Node>(node: T, old: ts.Node, by: ts.Node, context: ts.TransformationContext): T {
  const visit = (part: ts.Node): ts.Node =>
    part === old ? by : ts.isFunctionLike(part) ? part : ts.visitEachChild(part, visit, context);
  return ts.visitEachChild(node, visit, context);
}

function assign(target: ts.Identifier, value: ts.Expression): ts.Statement {
  return f.createExpressionStatement(f.createAssignment(target, value));
}

function exitOf(result: Result, label: string): Exit & { isUsed(): boolean } {
  let isUsed = false;
  return {
    isUsed: () => isUsed,
    take(value) {
      if (result.to === "caller") return [f.createReturnStatement(value)];
      if (result.to === "variable") return [assign(result.variable, value ?? undefinedValue())];
      return value === undefined ? [] : [f.createExpressionStatement(value)];
    },
    leave() {
      if (result.to === "caller") return [];
      isUsed = true;
      return [f.createBreakStatement(label)];
    },
  };
}

/** What comes after the last statement of a body that may get there. */
function endOf(result: Result): ts.Statement[] {
  if (result.to === "nowhere") return [];
  return result.to === "caller" ? [f.createReturnStatement()] : [assign(result.variable, undefinedValue())];
}
