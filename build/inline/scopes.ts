/**
 * Makes `var`s of local `let`s and `const`s where that cannot be told apart: QuickJS checks at every use of the latter that they have been
 * initialized, and marks them uninitialized at the start of their block, which costs as much as the use.
 *
 * A variable stays what it is if a closure holds it, if its name means something else nearby, or if it is the variable of a `for ... of`: terser
 * would move the statement before such a loop into its head, where QuickJS cannot compile `yield*`.
 */
import ts from "typescript";
import { undefinedValue } from "./candidates";
import { isDeclaration, isOnlyName } from "./names";

const f = ts.factory;

/** A transformer of a whole bundle. */
export function localsToVars(context: ts.TransformationContext): (file: ts.SourceFile) => ts.SourceFile {
  const visit = (node: ts.Node): ts.Node => {
    const inner = ts.visitEachChild(node, visit, context);
    return ts.isFunctionLike(inner) ? convert(inner, context) : inner;
  };
  return (file) => ts.visitEachChild(file, visit, context);
}

/** Which names of a function may become `var`s. */
class Survey {
  /** How often each name is declared by what could be a `var`. */
  readonly declared = new Map<string, number>();
  private readonly kept = new Set<string>();
  private readonly visible: Set<string>[] = [];

  constructor(root: ts.Node) {
    ts.forEachChild(root, (child) => this.walk(child, root, false));
  }

  isFree(name: string): boolean {
    return this.declared.has(name) && !this.kept.has(name);
  }

  private walk(node: ts.Node, parent: ts.Node, isInner: boolean): void {
    if (ts.isIdentifier(node)) this.mention(node, parent, isInner);
    const inside = isInner || ts.isFunctionLike(node) || ts.isClassLike(node);
    const names = inside ? null : scopeOf(node);
    if (names !== null) this.enter(names);
    ts.forEachChild(node, (child) => this.walk(child, node, inside));
    if (names !== null) this.visible.pop();
  }

  private enter(names: readonly string[]): void {
    for (const name of names) {
      if (this.isVisible(name)) this.kept.add(name);
      this.declared.set(name, (this.declared.get(name) ?? 0) + 1);
    }
    this.visible.push(new Set(names));
  }

  private isVisible(name: string): boolean {
    return this.visible.some((names) => names.has(name));
  }

  private mention(name: ts.Identifier, parent: ts.Node, isInner: boolean): void {
    if (isOnlyName(name, parent)) return;
    const isOther = isDeclaration(name, parent) && !ts.isVariableDeclaration(parent);
    if (isInner || isOther || !this.isVisible(name.text)) this.kept.add(name.text);
  }
}

/** The names that a block, a loop's head or a switch declares by `let` and `const`; null if it is no scope. */
function scopeOf(node: ts.Node): string[] | null {
  if (ts.isForStatement(node)) {
    const head = node.initializer;
    return head !== undefined && ts.isVariableDeclarationList(head) ? namesOf([head]) : null;
  }
  const statements = ts.isBlock(node)
    ? node.statements
    : ts.isCaseBlock(node)
    ? node.clauses.flatMap((c) => [...c.statements])
    : null;
  return statements && namesOf(statements.flatMap((s) => (ts.isVariableStatement(s) ? [s.declarationList] : [])));
}

function namesOf(lists: readonly ts.VariableDeclarationList[]): string[] {
  const scoped = lists.filter((list) => (list.flags & ts.NodeFlags.BlockScoped) !== 0);
  return scoped.flatMap((list) => list.declarations.flatMap(({ name }) => (ts.isIdentifier(name) ? [name.text] : [])));
}

function convert(node: ts.Node, context: ts.TransformationContext): ts.Node {
  const survey = new Survey(node);
  const visit = (part: ts.Node, parent: ts.Node, repeats: boolean): ts.Node => {
    if (ts.isFunctionLike(part) || ts.isClassLike(part)) return part;
    const again = repeats || ts.isIterationStatement(part, false);
    const visited = ts.visitEachChild(part, (child) => visit(child, part, again), context);
    if (!ts.isVariableDeclarationList(visited) || ts.isForOfStatement(parent) || ts.isForInStatement(parent))
      return visited;
    return isConvertible(visited, survey) ? asVar(visited, survey, repeats) : visited;
  };
  return ts.visitEachChild(node, (child) => visit(child, node, false), context);
}

function isConvertible(list: ts.VariableDeclarationList, survey: Survey): boolean {
  if ((list.flags & ts.NodeFlags.BlockScoped) === 0) return false;
  return list.declarations.every(({ name }) => ts.isIdentifier(name) && survey.isFree(name.text));
}

/** A `let x` in a loop begins anew as undefined each time, and so must a second `x`. */
function asVar(list: ts.VariableDeclarationList, survey: Survey, repeats: boolean): ts.VariableDeclarationList {
  const declarations = list.declarations.map((declaration) => {
    const isSecond = (survey.declared.get((declaration.name as ts.Identifier).text) as number) > 1;
    const value = declaration.initializer ?? (repeats || isSecond ? undefinedValue() : undefined);
    return f.updateVariableDeclaration(declaration, declaration.name, undefined, undefined, value);
  });
  return ts.setTextRange(f.createVariableDeclarationList(declarations, ts.NodeFlags.None), list);
}
