/**
 * Reads a module's MODULE_* lines and parameters from its source, as modpost reads `.modinfo`: nothing is run, so every argument that ends up
 * in the manifest must be written out as a literal.
 */
import ts from "typescript";
import type { ModuleInfo, ModuleParameter } from "../hal/host/image/format";
import { BuildError } from "./build-error";

/** Macros whose single argument is a text, and the field it goes to. */
const TEXTS = {
  MODULE_LICENSE: "license",
  MODULE_DESCRIPTION: "description",
  MODULE_VERSION: "version",
} as const;
const LISTS = { MODULE_AUTHOR: "authors", MODULE_ALIAS: "aliases", MODULE_SOFTDEP: "softdep" } as const;

interface Collected {
  license: string;
  description: string;
  version: string;
  readonly authors: string[];
  readonly aliases: string[];
  readonly softdep: string[];
  readonly params: ModuleParameter[];
  readonly descriptions: Map<string, string>;
}

/** A source text and what to call it in messages. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
}

/** Reads the macros at the top level of a module's files. Throws BuildError if an argument is not a literal. */
export function moduleInfo(sources: readonly SourceText[]): ModuleInfo {
  const found: Collected = {
    license: "",
    description: "",
    version: "",
    authors: [],
    aliases: [],
    softdep: [],
    params: [],
    descriptions: new Map(),
  };
  const problems: string[] = [];
  for (const source of sources) collect(source, found, problems);
  for (const name of found.descriptions.keys()) {
    if (!found.params.some((param) => param.name === name)) problems.push(`MODULE_PARM_DESC: no parameter ${name}`);
  }
  if (problems.length > 0) throw new BuildError(problems);
  const { descriptions, params, ...info } = found;
  return { ...info, params: params.map((param) => ({ ...param, description: descriptions.get(param.name) ?? "" })) };
}

function collect(source: SourceText, found: Collected, problems: string[]): void {
  const file = ts.createSourceFile(source.file, source.text, ts.ScriptTarget.ES2023, true);
  for (const statement of file.statements) {
    if (!ts.isExpressionStatement(statement) || !ts.isCallExpression(statement.expression)) continue;
    const call = statement.expression;
    if (!ts.isIdentifier(call.expression)) continue;
    const problem = macro(call.expression.text, call.arguments, found);
    if (problem === null) continue;
    const { line } = file.getLineAndCharacterOfPosition(call.getStart(file));
    problems.push(`${source.file}:${line + 1}: ${call.expression.text}: ${problem}`);
  }
}

/** Takes one macro call; returns what is wrong with it, or null. */
function macro(name: string, args: readonly ts.Expression[], found: Collected): string | null {
  if (Object.hasOwn(TEXTS, name)) {
    const text = textOf(args[0]);
    if (text === null) return "the argument must be a string literal";
    found[TEXTS[name as keyof typeof TEXTS]] = text;
  } else if (Object.hasOwn(LISTS, name)) {
    const text = textOf(args[0]);
    if (text === null) return "the argument must be a string literal";
    found[LISTS[name as keyof typeof LISTS]].push(text);
  } else if (name === "MODULE_PARM_DESC") {
    const [param, description] = [textOf(args[0]), textOf(args[1])];
    if (param === null || description === null) return "both arguments must be string literals";
    found.descriptions.set(param, description);
  } else if (name === "module_param_named" || name === "module_param_cb") {
    return parameter(name, args, found);
  }
  return null;
}

/** `module_param_named("name", variable, "type", 0o444)` or `module_param_cb("name", operations, variable, 0o444)`, which has no type. */
function parameter(macroName: string, args: readonly ts.Expression[], found: Collected): string | null {
  const [name, type] = [textOf(args[0]), macroName === "module_param_cb" ? "" : textOf(args[2])];
  if (name === null || type === null) return "name and type must be string literals";
  if (found.params.some((param) => param.name === name)) return `the parameter ${name} is declared twice`;
  const perm = args[3];
  if (perm === undefined || !ts.isNumericLiteral(perm)) return "the mode must be a number";
  found.params.push({ name, type, perm: Number(perm.text), description: "" });
  return null;
}

/** The value of a string literal, or of literals joined by `+`; null for anything else. */
function textOf(node: ts.Expression | undefined): string | null {
  if (node === undefined) return null;
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isBinaryExpression(node) || node.operatorToken.kind !== ts.SyntaxKind.PlusToken) return null;
  const [left, right] = [textOf(node.left), textOf(node.right)];
  return left === null || right === null ? null : left + right;
}
