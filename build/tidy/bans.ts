/** What guest code, and the hypervisor's decisions, must not use: whatever is not the same on every engine, or not the kernel's to decide. */
import ts from "typescript";
import { type Check, type Finding, type Project, descendants, findingAt, isGuest } from "./project";

/** Functions of `Math` that are exact, and equal, in both engines. */
const MATH = new Set(["sqrt", "imul", "clz32", "floor", "ceil", "trunc", "abs", "min", "max", "fround"]);

/** Globals that differ between engines, or let somebody other than the kernel's scheduler decide what runs. */
const GUEST_GLOBALS = new Set([
  "Date",
  "Promise",
  "Intl",
  "Atomics",
  "SharedArrayBuffer",
  "WeakRef",
  "FinalizationRegistry",
  "WebAssembly",
  "globalThis",
  "queueMicrotask",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "structuredClone",
  "performance",
  "console",
  "eval",
  "Function",
]);
/** The same for the host's code that decides what a machine does. */
const DECISION_GLOBALS = new Set([
  "Date",
  "Intl",
  "WeakRef",
  "FinalizationRegistry",
  "performance",
  "setTimeout",
  "setInterval",
]);
const DECISIONS = /^hal\/host\/(hypervisor|trace|xenstored|explorer)\//;

/** Methods whose result depends on the locale or on the engine's tables. */
const LOCALE = new Set([
  "toLocaleString",
  "toLocaleUpperCase",
  "toLocaleLowerCase",
  "toLocaleDateString",
  "localeCompare",
  "normalize",
]);

/** One rule: what is wrong with this node, or null. */
type Rule = (node: ts.Node, project: Project) => string | null;

function* apply(
  project: Project,
  name: string,
  files: (file: string) => boolean,
  rule: Rule,
): Generator<Finding, void, void> {
  for (const source of project.sources) {
    if (!files(project.pathOf(source))) continue;
    for (const node of descendants(source)) {
      const problem = rule(node, project);
      if (problem !== null) yield findingAt(project, name, node, problem);
    }
  }
}

/** Whether the identifier is a value that is used by that name, rather than a property, a key or a type. */
function isReference(node: ts.Node): node is ts.Identifier {
  if (!ts.isIdentifier(node)) return false;
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isTypeReferenceNode(parent) || ts.isQualifiedName(parent) || ts.isPropertySignature(parent)) return false;
  if (ts.isPropertyAssignment(parent) || ts.isMethodDeclaration(parent) || ts.isPropertyDeclaration(parent)) {
    return parent.name !== node;
  }
  return !ts.isMethodSignature(parent) && !ts.isParameter(parent) && !ts.isBindingElement(parent);
}

/** Whether the name is the global one and not something of ours that is called the same. */
function isGlobal(node: ts.Identifier, project: Project): boolean {
  const declarations = project.checker.getSymbolAtLocation(node)?.declarations ?? [];
  return declarations.every((declaration) => declaration.getSourceFile().fileName.includes("node_modules"));
}

/** Globals. */
export const guestGlobals: Check = {
  name: "guest-globals",
  *run(project) {
    const rule =
      (banned: ReadonlySet<string>): Rule =>
      (node) =>
        isReference(node) && banned.has(node.text) && isGlobal(node, project)
          ? `${node.text} is not for this code`
          : null;
    yield* apply(project, "guest-globals", isGuest, rule(GUEST_GLOBALS));
    yield* apply(project, "guest-globals", (file) => DECISIONS.test(file), rule(DECISION_GLOBALS));
  },
};

/** Inexact mathematics, powers, chance. */
export const exactMath: Check = {
  name: "exact-math",
  *run(project) {
    yield* apply(
      project,
      "exact-math",
      (file) => isGuest(file) || DECISIONS.test(file),
      (node) => {
        if (ts.isBinaryExpression(node)) {
          const { kind } = node.operatorToken;
          const power =
            kind === ts.SyntaxKind.AsteriskAsteriskToken || kind === ts.SyntaxKind.AsteriskAsteriskEqualsToken;
          const constant = [node.left, node.right].every((side) => ts.isNumericLiteral(side));
          return power && !constant ? "** may round differently in another engine" : null;
        }
        if (!ts.isPropertyAccessExpression(node) || !ts.isIdentifier(node.expression)) return null;
        if (node.expression.text !== "Math" || MATH.has(node.name.text)) return null;
        return `Math.${node.name.text} is not the same in every engine; allowed: ${[...MATH].join(", ")}`;
      },
    );
  },
};

/** Locale-dependent methods. */
export const locale: Check = {
  name: "locale",
  *run(project) {
    yield* apply(
      project,
      "locale",
      (file) => isGuest(file) || DECISIONS.test(file),
      (node) =>
        ts.isPropertyAccessExpression(node) && LOCALE.has(node.name.text)
          ? `${node.name.text} depends on the engine's tables`
          : null,
    );
  },
};

/** async, await, for await. */
export const asyncCode: Check = {
  name: "async",
  *run(project) {
    yield* apply(project, "async", isGuest, (node) => {
      const isAsync = node.kind === ts.SyntaxKind.AsyncKeyword || ts.isAwaitExpression(node);
      const forAwait = ts.isForOfStatement(node) && node.awaitModifier !== undefined;
      return isAsync || forAwait ? "the kernel's scheduler alone decides what runs next: use a generator" : null;
    });
  },
};

/** try and catch: an oops must not be survived. */
export const tryCatch: Check = {
  name: "try-catch",
  *run(project) {
    yield* apply(
      project,
      "try-catch",
      (file) => /^(kernel|drivers)\//.test(file),
      (node) => (ts.isTryStatement(node) ? "no try in kernel and drivers: return a negative errno" : null),
    );
  },
};

/** yield in the head of for-of: QuickJS compiles it to code that it then refuses ("stack underflow"). */
export const yieldInForOf: Check = {
  name: "yield-in-for-of",
  *run(project) {
    yield* apply(project, "yield-in-for-of", isGuest, (node) =>
      ts.isForOfStatement(node) && holdsYield(node.expression)
        ? "QuickJS cannot run a yield in the head of for-of: put its result into a const first"
        : null,
    );
  },
};

function holdsYield(node: ts.Node): boolean {
  if (ts.isYieldExpression(node)) return true;
  if (ts.isFunctionLike(node)) return false;
  return ts.forEachChild(node, holdsYield) ?? false;
}

/** instanceof on a class of a header: every bundle has its own copy of the class. */
export const headerInstanceof: Check = {
  name: "header-instanceof",
  *run(project) {
    yield* apply(project, "header-instanceof", isGuest, (node) => {
      if (!ts.isBinaryExpression(node) || node.operatorToken.kind !== ts.SyntaxKind.InstanceOfKeyword) return null;
      const symbol = aliased(project.checker, project.checker.getSymbolAtLocation(node.right));
      const declared = symbol?.declarations?.map((declaration) => project.pathOf(declaration.getSourceFile())) ?? [];
      const isHeader = declared.some((file) => file.startsWith("kernel/include/"));
      return isHeader ? `every bundle has its own ${node.right.getText()}: instanceof would lie` : null;
    });
  },
};

/** The symbol behind an import. */
export function aliased(checker: ts.TypeChecker, symbol: ts.Symbol | undefined): ts.Symbol | undefined {
  return symbol !== undefined && (symbol.flags & ts.SymbolFlags.Alias) !== 0
    ? checker.getAliasedSymbol(symbol)
    : symbol;
}

/** The views of a page, outside of the one file that may use them. */
export const pageViews: Check = {
  name: "page-views",
  *run(project) {
    const files = (file: string): boolean => isGuest(file) && !file.startsWith("hal/guest/");
    yield* apply(project, "page-views", files, (node) => {
      if (!ts.isPropertyAccessExpression(node)) return null;
      const { text } = node.name;
      if ((text !== "words" && text !== "bytes") || isNullTest(node)) return null;
      const type = project.checker.getNonNullableType(project.checker.getTypeAtLocation(node.expression));
      const isPage = ["mfn", "words", "bytes"].every((field) => type.getProperty(field) !== undefined);
      return isPage ? `a page's ${text} are touched only in hal/guest/page.ts: use page_read32 and the like` : null;
    });
  },
};

/** `page.words === null` and `page.words = null` look at the window, not through it. */
function isNullTest(node: ts.PropertyAccessExpression): boolean {
  const { parent } = node;
  return ts.isBinaryExpression(parent) && parent.left === node && parent.right.kind === ts.SyntaxKind.NullKeyword;
}
