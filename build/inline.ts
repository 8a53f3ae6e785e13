/**
 * Inlines small functions into their callers, in a bundle of JavaScript: QuickJS, the engine that counts, never does, and a call costs it as much
 * as twenty loads.
 *
 *   bundle ──parse──► functions, callees first ──► each: expressions in place (substitute), blocks before statements (hoist) ──► bundle
 *
 * What can be told apart by running it stays as it is: the order of effects and of loads that depend on them, and how often each argument is
 * evaluated. Only stacks get shorter; the lines in them still name the inlined function's own source, through the source map.
 */
import ts from "typescript";
import { Caller, Surroundings } from "./inline/caller";
import { type Candidate, candidateOf, isInlinable, neverReturns } from "./inline/candidates";
import { Hoister, Labels } from "./inline/hoist";
import { assignments, forEachName } from "./inline/names";
import { expand } from "./inline/substitute";

/** Nodes of a function that is called in several places. */
const SIZE_MAX = 60;
/** Nodes of a function that is called in one place and known nowhere else. */
const SIZE_MAX_SINGLE = 400;
/** Nodes of a function whose comment says `@inline`: it is called in several places, but is worth it. */
const SIZE_MAX_MARKED = 240;
/** So small that the call is no smaller. */
const SIZE_TRIVIAL = 12;
/** Nodes that one function may gain. */
const GROWTH_MAX = 3000;

/** Inlines the calls in a bundle. Returns the new code, and the source map from it to the old code, as JSON. */
export function inlineCalls(code: string): { code: string; map: string } {
  const { outputText, sourceMapText } = ts.transpileModule(code, {
    fileName: "bundle.js",
    compilerOptions: {
      allowJs: true,
      alwaysStrict: false,
      module: ts.ModuleKind.ESNext,
      sourceMap: true,
      target: ts.ScriptTarget.ESNext,
    },
    transformers: { before: [(context) => (file) => new Inliner(file, context).run()] },
  });
  return { code: outputText.replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n"), map: sourceMapText as string };
}

class Inliner {
  private readonly statements: readonly ts.Statement[];
  private readonly functions = new Map<string, ts.FunctionDeclaration>();
  private readonly candidates = new Map<string, Candidate>();
  private readonly done = new Map<ts.Statement, ts.Statement>();
  private readonly taken: ReadonlySet<string>;
  private readonly changing: ReadonlySet<string>;
  /** Functions with one call and no other mention. */
  private readonly singles = new Set<string>();
  /** Functions that end in an exception: nobody waits for those. */
  private readonly endless = new Set<string>();
  private readonly labels = new Labels();

  constructor(private readonly file: ts.SourceFile, private readonly context: ts.TransformationContext) {
    this.statements = programOf(file);
    for (const node of this.statements) {
      if (ts.isFunctionDeclaration(node) && node.name !== undefined) this.functions.set(node.name.text, node);
    }
    this.changing = new Set(assignments(file).keys());
    this.taken = this.countMentions();
  }

  run(): ts.SourceFile {
    for (const node of this.statements) this.process(node);
    const replace = (node: ts.Node): ts.Node =>
      this.done.get(node as ts.Statement) ?? ts.visitEachChild(node, replace, this.context);
    return ts.visitEachChild(this.file, replace, this.context);
  }

  /** Every name in the file. Finds the functions with one call on the way. */
  private countMentions(): Set<string> {
    const calls = new Map<string, number>();
    const names = new Set<string>();
    forEachName(this.file, (name, parent) => {
      names.add(name.text);
      if (ts.isFunctionDeclaration(parent)) return;
      const isCall = ts.isCallExpression(parent) && parent.expression === name;
      calls.set(name.text, (calls.get(name.text) ?? 0) + (isCall ? 1 : 2));
    });
    for (const [name, count] of calls) if (count === 1) this.singles.add(name);
    return names;
  }

  /** Inlines into a top-level statement, after those functions that it calls. */
  private process(node: ts.Statement): void {
    if (this.done.has(node)) return;
    this.done.set(node, node);
    forEachName(node, ({ text }, parent) => {
      const callee = ts.isCallExpression(parent) ? this.functions.get(text) : undefined;
      if (callee !== undefined) this.process(callee);
    });
    const result = new Body(node, this, this.context).inlined();
    this.done.set(node, result);
    if (ts.isFunctionDeclaration(node) && ts.isFunctionDeclaration(result)) this.offer(node, result);
  }

  private offer(written: ts.FunctionDeclaration, node: ts.FunctionDeclaration): void {
    const name = written.name?.text;
    if (name === undefined || this.changing.has(name)) return;
    if (neverReturns(written, this.endless)) this.endless.add(name);
    if (this.endless.has(name) || !isInlinable(written)) return;
    const candidate = candidateOf(node, this.changing);
    const isRecursive = candidate.free.has(name);
    const several = this.isMarked(written) ? SIZE_MAX_MARKED : SIZE_MAX;
    const limit = this.singles.has(name) ? SIZE_MAX_SINGLE : several;
    if (!isRecursive && candidate.size <= limit) this.candidates.set(name, candidate);
  }

  private isMarked(node: ts.FunctionDeclaration): boolean {
    const { text } = this.file;
    const comments = ts.getLeadingCommentRanges(text, node.pos) ?? [];
    return comments.some(({ pos, end }) => text.slice(pos, end).includes("@inline"));
  }

  /** What stands for a name that is called from within `surroundings`. */
  find(name: string, surroundings: Surroundings): Candidate | null {
    return surroundings.declared.has(name) ? null : this.candidates.get(name) ?? null;
  }

  surroundingsOf(node: ts.Statement): Surroundings {
    return new Surroundings(node, this.taken, this.changing);
  }

  label(): Labels {
    return this.labels;
  }
}

/** The statements among which a bundle's functions stand: those of the factory if it is one, else the file's. */
function programOf(file: ts.SourceFile): readonly ts.Statement[] {
  const [first] = file.statements;
  if (file.statements.length !== 1 || !ts.isExpressionStatement(first)) return file.statements;
  const factory = ts.isParenthesizedExpression(first.expression) ? first.expression.expression : first.expression;
  return ts.isFunctionExpression(factory) ? factory.body.statements : file.statements;
}

/** One top-level statement on its way. */
class Body {
  private readonly surroundings: Surroundings;
  private caller: Caller | null = null;
  private growth = 0;

  constructor(
    private readonly root: ts.Statement,
    private readonly inliner: Inliner,
    private readonly context: ts.TransformationContext,
  ) {
    this.surroundings = inliner.surroundingsOf(root);
  }

  inlined(): ts.Statement {
    return this.visit(this.root) as ts.Statement;
  }

  private readonly visit = (node: ts.Node): ts.Node | ts.Node[] => {
    if (ts.isParameter(node)) return node;
    if (ts.isFunctionLike(node)) return this.within(new Caller(node, this.surroundings), node);
    if (ts.isPropertyDeclaration(node) || ts.isClassStaticBlockDeclaration(node)) return this.within(null, node);
    if (this.caller === null) return this.children(node);
    if (ts.isStatement(node) && !ts.isBlock(node)) return this.statement(node, this.caller);
    const visited = this.children(node);
    return ts.isCallExpression(visited) ? this.call(visited, this.caller) : visited;
  };

  private children<T extends ts.Node>(node: T): T {
    return ts.visitEachChild(node, this.visit, this.context);
  }

  private within(caller: Caller | null, node: ts.Node): ts.Node {
    const outer = this.caller;
    this.caller = caller;
    const visited = this.children(node);
    this.caller = outer;
    return caller === null ? visited : this.withVariables(visited, caller.declarations());
  }

  private withVariables(node: ts.Node, declarations: ts.Statement[]): ts.Node {
    if (declarations.length === 0) return node;
    const f = ts.factory;
    const extended = (part: ts.Node): ts.Node => {
      if (part !== (node as ts.FunctionLikeDeclaration).body) return part;
      if (ts.isBlock(part)) return f.updateBlock(part, [...declarations, ...part.statements]);
      return f.createBlock([...declarations, f.createReturnStatement(part as ts.Expression)]);
    };
    return ts.visitEachChild(node, extended, this.context);
  }

  private statement(node: ts.Statement, caller: Caller): ts.Statement[] {
    const mark = caller.begin();
    const grow = (size: number): void => void (this.growth += size);
    const hoister = new Hoister(caller, this.lookup, grow, this.inliner.label(), this.context);
    const statements = hoister.hoist(this.children(node));
    caller.end(mark);
    return statements;
  }

  private call(call: ts.CallExpression, caller: Caller): ts.Expression {
    const callee = this.lookup(call);
    const expression = callee && expand(call, callee, caller, this.context);
    if (callee === null || expression === null) return call;
    this.growth += callee.size;
    return expression;
  }

  private readonly lookup = (call: ts.CallExpression): Candidate | null => {
    if (!ts.isIdentifier(call.expression)) return null;
    const callee = this.inliner.find(call.expression.text, this.surroundings);
    return callee === null || (callee.size > SIZE_TRIVIAL && this.growth + callee.size > GROWTH_MAX) ? null : callee;
  };
}
