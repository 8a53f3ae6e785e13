/**
 * The function that calls are inlined into: its variables, and the new ones that it gets for the parameters and variables of the inlined.
 *
 * New variables are `var`s of the whole function, named after what they stand for: `bio` becomes `bio$1`. One that served a statement serves
 * later statements again; within one statement none has two meanings.
 */
import ts from "typescript";
import { type Meaning, type Step, stepsOf } from "./effects";
import { assignments, contains, declaredNames, isAssignmentOperator } from "./names";

/** What is known about all functions of one top-level declaration. */
export class Surroundings {
  /** Every name declared in it: a function that takes one of these from outside cannot be inlined here. */
  readonly declared: ReadonlySet<string>;
  /** Which functions assign to a variable. */
  readonly assigned: ReadonlyMap<string, ReadonlySet<ts.Node>>;
  /** Names of new variables. */
  readonly added = new Set<string>();

  constructor(
    readonly root: ts.Node,
    /** Names in use anywhere in the bundle. */
    readonly taken: ReadonlySet<string>,
    /** Top-level names that are assigned to somewhere. */
    readonly changing: ReadonlySet<string>,
  ) {
    this.declared = declaredNames(root);
    this.assigned = assignments(root);
  }

  /** A name like `name` that nothing has yet. */
  fresh(name: string): string {
    const stem = name.replace(/\$\d+$/, "");
    let number = 1;
    while (this.taken.has(`${stem}$${number}`) || this.added.has(`${stem}$${number}`)) number++;
    this.added.add(`${stem}$${number}`);
    return `${stem}$${number}`;
  }
}

/** One function among those. */
export class Caller {
  private readonly free = new Map<string, string[]>();
  private readonly lent: { stem: string; name: string }[] = [];
  private readonly variables: string[] = [];

  constructor(readonly node: ts.Node, readonly surroundings: Surroundings) {}

  /** A variable for something called `name`, until the end of the statement that is being worked on. */
  borrow(name: string): string {
    const stem = name.replace(/\$\d+$/, "");
    const known = this.free.get(stem)?.pop();
    const variable = known ?? this.surroundings.fresh(stem);
    if (known === undefined) this.variables.push(variable);
    this.lent.push({ stem, name: variable });
    return variable;
  }

  /** Begins a statement. The result goes to `end`. */
  begin(): number {
    return this.lent.length;
  }

  /** Ends the statement: its variables serve others from here on. */
  end(mark: number): void {
    for (const { stem, name } of this.lent.splice(mark).reverse()) {
      const names = this.free.get(stem) ?? [];
      this.free.set(stem, names);
      names.push(name);
    }
  }

  /** The declaration of all variables that were borrowed, or nothing. */
  declarations(): ts.Statement[] {
    if (this.variables.length === 0) return [];
    const f = ts.factory;
    const list = this.variables.map((name) => f.createVariableDeclaration(name));
    return [f.createVariableStatement(undefined, f.createVariableDeclarationList(list, ts.NodeFlags.None))];
  }

  /** What a name in an argument means: "fixed" if no inlined function can change it. */
  meaning(name: string): Meaning {
    const { surroundings } = this;
    if (surroundings.added.has(name)) return "fixed";
    const owners = surroundings.assigned.get(name);
    if (!surroundings.declared.has(name)) return surroundings.changing.has(name) ? "variable" : "fixed";
    return owners === undefined || [...owners].every((owner) => owner === this.node) ? "fixed" : "variable";
  }

  /** The steps of evaluating something of this function's. */
  steps(node: ts.Node): Step[] {
    return stepsOf(node, (name) => this.meaning(name));
  }

  /** Whether evaluating `node` assigns to a variable of this function's, the inliner's own aside. */
  assignsIn(node: ts.Node): boolean {
    return contains(node, (part) => {
      if (ts.isBinaryExpression(part) && isAssignmentOperator(part.operatorToken.kind)) return this.isTheirs(part.left);
      return (
        (ts.isPostfixUnaryExpression(part) || ts.isPrefixUnaryExpression(part)) &&
        isStep(part) &&
        this.isTheirs(part.operand)
      );
    });
  }

  private isTheirs(target: ts.Node): boolean {
    if (ts.isPropertyAccessExpression(target) || ts.isElementAccessExpression(target)) return false;
    return !ts.isIdentifier(target) || !this.surroundings.added.has(target.text);
  }
}

function isStep(node: ts.PostfixUnaryExpression | ts.PrefixUnaryExpression): boolean {
  return node.operator === ts.SyntaxKind.PlusPlusToken || node.operator === ts.SyntaxKind.MinusMinusToken;
}
