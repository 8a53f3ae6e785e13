/**
 * What evaluating an expression does, in order: which parameters it uses, what it reads that others can change, and what it changes itself. Two
 * evaluations may change places unless one of them has an effect and the other one reads or has an effect.
 *
 * Loading a property counts as a read: this project's getters have no effects. Converting to a number or a string counts as nothing at all.
 */
import ts from "typescript";
import { assignedBy } from "./names";

/** What a name means to whoever asks: a parameter to be replaced, something that others can change, or neither. */
export type Meaning = "parameter" | "variable" | "fixed";

/** One step of an evaluation. */
export interface Step {
  /** "peek" reads a variable, which cannot fail; "read" loads a property, which can; "use" stands for a parameter. */
  readonly kind: "use" | "peek" | "read" | "effect";
  /** Whether it happens whenever the whole expression is evaluated. */
  readonly sure: boolean;
  /** The parameter's name. */
  readonly name?: string;
  /** Of a call: the call, and how many steps were made before its first one. */
  readonly call?: ts.CallExpression;
  readonly start?: number;
}

const LOGICAL = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
]);

/** The steps of evaluating `expression`, in order. Assigning to what `meaning` calls fixed is none: the asker knows about those. */
export function stepsOf(expression: ts.Node, meaning: (name: string) => Meaning): Step[] {
  const steps: Step[] = [];
  new Walk(steps, meaning).visit(expression, true);
  return steps;
}

/** Whether two steps must stay in order. */
export function conflict(a: Step, b: Step): boolean {
  return a.kind === "effect" || b.kind === "effect";
}

class Walk {
  constructor(private readonly steps: Step[], private readonly meaning: (name: string) => Meaning) {}

  visit(node: ts.Node, sure: boolean): void {
    // Making a function does nothing yet.
    if (ts.isFunctionLike(node) && !ts.isClassElement(node)) return;
    if (ts.isIdentifier(node)) this.name(node.text, sure);
    else if (ts.isPropertyAccessExpression(node)) this.access(node.expression, null, node, sure);
    else if (ts.isElementAccessExpression(node)) this.access(node.expression, node.argumentExpression, node, sure);
    else if (ts.isCallExpression(node) || ts.isNewExpression(node)) this.call(node, sure);
    else if (ts.isConditionalExpression(node)) this.conditional(node, sure);
    else if (ts.isShorthandPropertyAssignment(node)) this.name(node.name.text, sure);
    else if (ts.isPropertyAssignment(node)) this.property(node, sure);
    else if (ts.isBinaryExpression(node) && LOGICAL.has(node.operatorToken.kind)) this.logical(node, sure);
    else if (assignedBy(node) !== null) this.assignment(node, sure);
    else this.other(node, sure);
  }

  private add(kind: Step["kind"], sure: boolean): void {
    this.steps.push({ kind, sure });
  }

  private name(name: string, sure: boolean): void {
    const meaning = this.meaning(name);
    if (meaning === "parameter") this.steps.push({ kind: "use", sure, name });
    if (meaning === "variable") this.add("peek", sure);
  }

  private access(object: ts.Expression, index: ts.Expression | null, node: ts.Node, sure: boolean): void {
    this.visit(object, sure);
    const reached = sure && !ts.isOptionalChain(node);
    if (index !== null) this.visit(index, reached);
    this.add("read", reached);
  }

  private call(node: ts.CallExpression | ts.NewExpression, sure: boolean): void {
    const start = this.steps.length;
    this.visit(node.expression, sure);
    const reached = sure && !ts.isOptionalChain(node);
    for (const argument of node.arguments ?? []) this.visit(argument, reached);
    if (ts.isCallExpression(node)) this.steps.push({ kind: "effect", sure: reached, call: node, start });
    else this.add("effect", reached);
  }

  private conditional(node: ts.ConditionalExpression, sure: boolean): void {
    this.visit(node.condition, sure);
    this.visit(node.whenTrue, false);
    this.visit(node.whenFalse, false);
  }

  private logical(node: ts.BinaryExpression, sure: boolean): void {
    this.visit(node.left, sure);
    this.visit(node.right, false);
  }

  private property(node: ts.PropertyAssignment, sure: boolean): void {
    if (ts.isComputedPropertyName(node.name)) this.visit(node.name.expression, sure);
    this.visit(node.initializer, sure);
  }

  private assignment(node: ts.Node, sure: boolean): void {
    const target = assignedBy(node) as ts.Node;
    const value = ts.isBinaryExpression(node) ? node : null;
    if (ts.isIdentifier(target)) {
      if (value?.operatorToken.kind !== ts.SyntaxKind.EqualsToken) this.name(target.text, sure);
    } else if (ts.isPropertyAccessExpression(target)) {
      this.visit(target.expression, sure);
    } else if (ts.isElementAccessExpression(target)) {
      this.visit(target.expression, sure);
      this.visit(target.argumentExpression, sure);
    } else {
      this.add("effect", sure);
    }
    if (value !== null) this.visit(value.right, sure && !isLogicalAssignment(value.operatorToken.kind));
    if (!ts.isIdentifier(target) || this.meaning(target.text) !== "fixed") this.add("effect", sure);
  }

  private other(node: ts.Node, sure: boolean): void {
    ts.forEachChild(node, (child) => this.visit(child, sure));
    if (!isQuiet(node)) this.add("effect", sure);
  }
}

function isLogicalAssignment(kind: ts.SyntaxKind): boolean {
  return /^(&&|\|\||\?\?)=$/.test(ts.tokenToString(kind) ?? "");
}

/** Whether evaluating `node` does nothing beyond evaluating its parts. */
function isQuiet(node: ts.Node): boolean {
  if (ts.isToken(node) || ts.isLiteralExpression(node)) return true;
  if (ts.isBinaryExpression(node) || ts.isPrefixUnaryExpression(node) || ts.isParenthesizedExpression(node))
    return true;
  if (ts.isTypeOfExpression(node) || ts.isVoidExpression(node)) return true;
  if (ts.isTemplateExpression(node) || ts.isTemplateSpan(node)) return true;
  return ts.isArrayLiteralExpression(node) || ts.isObjectLiteralExpression(node);
}
