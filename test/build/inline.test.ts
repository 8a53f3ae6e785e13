import { TraceMap, originalPositionFor } from "@jridgewell/trace-mapping";
import fc from "fast-check";
import { expect, it } from "vitest";
import { inlineCalls } from "../../build/inline";

/** What a bundle's `main` does: its result or exception, and the effects in order. */
type Run = (log: unknown[], ...values: unknown[]) => unknown;

function compile(body: string): { main: Run; text: string } {
  const exports: { main?: Run } = {};
  const factory = `(function (__ksym, exports) { "use strict"; ${body}\nexports.main = main; })`;
  const { code } = inlineCalls(factory);
  (0, eval)(code)(() => undefined, exports);
  return { main: exports.main as Run, text: code.slice(code.indexOf("main(")) };
}

function original(body: string): Run {
  const exports: { main?: Run } = {};
  (0, eval)(`(function (__ksym, exports) { "use strict"; ${body}\nexports.main = main; })`)(() => undefined, exports);
  return exports.main as Run;
}

/** Runs to the end: a generator's yields are effects, answered with their number. */
function observe(main: Run, values: readonly unknown[]): unknown {
  const log: unknown[] = [];
  try {
    const result = main(log, ...structuredClone(values));
    if (typeof result !== "object" || result === null || !("next" in result)) return { result, log };
    const generator = result as Generator<unknown, unknown, number>;
    for (let step = 0, next = generator.next(0); ; next = generator.next(++step)) {
      if (next.done) return { result: next.value, log };
      log.push(["yield", next.value]);
    }
  } catch (error) {
    return { error: (error as Error).constructor.name, log };
  }
}

/** Functions that the cases below call. */
const HELPERS = `
  let state = 0; let level = { depth: 0 };
  function note(log, value) { log.push(value); return value; }
  function bump(log) { log.push("bump"); state++; return state; }
  function BUG() { throw new RangeError("bug"); }
  function BUG_ON(condition) { if (condition) BUG(); }
  function add(a, b) { return a + b; }
  function minus(b, a) { return a - b; }
  function square(a) { return a * a; }
  function first(a, b) { return a; }
  function either(a, b, c) { return a ? b : c; }
  function clamp(a, low = 0, high = 9) { if (a < low) return low; if (a > high) return high; return a; }
  function current() { return level; }
  function get_state() { return state; }
  function scale(x) { const doubled = x * 2; const more = doubled + 1; return more * doubled; }
  function step(x) { x += 1; x *= 2; return x; }
  function find(xs, wanted) { for (let i = 0; i < xs.length; i++) { const x = xs[i]; if (x === wanted) return i; } return -1; }
  function sum(xs) { let total = 0; for (const x of xs) { if (x < 0) continue; if (x > 5) break; total += x; } return total; }
  function kind(x) { switch (x) { case 1: return "one"; case 2: { const t = "two"; return t; } default: break; } return "many"; }
  function fill(o, n) { o.items = []; while (o.items.length < n) o.items.push(n); }
  function shortcut(log, n) { if (n > 2) return; let i = 0; do { log.push(i); if (i === n) return; i++; } while (i < 5); log.push("end"); }
  function even(n) { return n <= 0 ? true : odd(n - 1); }
  function odd(n) { return n <= 0 ? false : even(n - 1); }
  function wrap(value) { return { value, pair: [value, value] }; }
  function nested(x) { return add(square(x), clamp(x)); }
  function label_of(a, b) { return \`\${a}:\${b}\`; }
  function maybe(o) { return o?.inner?.n ?? -1; }
  function apply(g, x) { return g(x); }
  function set_depth(n) { level.depth = n; }
`;

const CASES: Readonly<Record<string, string>> = {
  "expressions in place": `function main(log, a, b) { return add(a, b) * minus(a, b) + square(a) + nested(b); }`,
  "an argument with an effect, used twice": `function main(log, a) { return square(note(log, a)); }`,
  "an argument with an effect, never used": `function main(log, a) { return first(a, note(log, "dropped")); }`,
  "an argument with an effect, used sometimes": `function main(log, a, b) { return either(a > b, note(log, 1), note(log, 2)); }`,
  "arguments used in another order": `function main(log, a, b) { return minus(note(log, a), note(log, b)); }`,
  "a load before an effect on what it loads": `function main(log, a) { return minus(state, bump(log)); }`,
  "a load after an effect on what it loads": `function main(log, a) { return minus(bump(log), state); }`,
  "a load of a property before an effect": `function main(log, a) { const o = { n: a }; function up() { o.n++; return 1; } return add(o.n, up()) + add(up(), o.n); }`,
  "a variable assigned by another argument": `function main(log, a) { let x = a; return minus(x, (x = 5)) + add(x, x++) + square(x); }`,
  "a variable that a closure changes": `function main(log, a) { let x = a; const inc = () => ++x; function use(p) { return inc() + p; } return add(x, inc()) + use(x); }`,
  "parameters that the body assigns": `function main(log, a) { const r = step(a) + step(a); return [r, a]; }`,
  "defaults and missing arguments": `function main(log, a) { return [clamp(a), clamp(a, 3), clamp(a, undefined, 4), clamp(a, state), add(a)]; }`,
  "more arguments than parameters": `function main(log, a) { return square(a, note(log, "extra")); }`,
  guards: `function main(log, a, b) { BUG_ON(a > b); log.push("passed"); BUG_ON(note(log, b) === 3); return a; }`,
  "locals as variables": `function main(log, a) { const doubled = 1; return scale(a) + doubled + scale(doubled); }`,
  "loops before a declaration": `function main(log, a) { const at = find([1, 2, 3], a); return at; }`,
  "loops before an assignment": `function main(log, a) { let at = 7; at = find([1, at, 3], a); return at + sum([a, 1, -1, 9, 2]); }`,
  "loops in a return": `function main(log, a) { if (a > 1) return find([a, 1], 1); return sum([a]); }`,
  "loops in a condition": `function main(log, a) { if (find([1, 2], a) < 0) return "none"; else if (!sum([a])) return "zero"; return "some"; }`,
  "loops as a statement": `function main(log, a, b) { const o = {}; fill(o, a); shortcut(log, b); shortcut(log, a); return o; }`,
  "loops that cannot be first": `function main(log, a) { return note(log, a) + find([a, 2], 2) + (a > 1 && find([a], a)); }`,
  "loops in a loop's condition": `function main(log, a) { let n = 3; while (find([1, 2, 3], n) >= 0) n--; return n; }`,
  "loops in a loop's body": `function main(log, a) { let r = 0; for (let i = 0; i < 4; i++) r += sum([i, a]) + (kind(i) === "one" ? 1 : 0); return r; }`,
  "loops of loops": `function outer(x) { for (let i = 0; i < 3; i++) { if (find([4, 5], x + i) === 1) return i; } return -2; } function main(log, a) { const r = outer(a); return r; }`,
  "a switch": `function main(log, a) { const k = kind(a); log.push(k); return kind(a + 1); }`,
  cases: `function main(log, a) { switch (square(a)) { case add(0, 1): return "1"; case 4: BUG_ON(a < 0); return "4"; default: return kind(a); } }`,
  recursion: `function main(log, a) { return even(a); }`,
  "shorthand properties": `function main(log, a) { return wrap(add(a, 1)); }`,
  "names that the caller has too": `function main(log, a) { const state = 5, total = 1, x = a; return get_state() + sum([state, total]) + scale(x); }`,
  "a function's name as a local": `function main(log, add) { const square = (n) => n + 1; return square(add); }`,
  "functions as values": `function main(log, a) { return [1, a].map(square).map((x) => scale(add(x, 1))); }`,
  "closures as arguments": `function main(log, a) { return apply((x) => add(x, a), 3); }`,
  "optional chains": `function main(log, a) { return [maybe(null), maybe({ inner: { n: a } }), log?.length, log.at?.(add(0, 0))]; }`,
  templates: `function main(log, a) { return label_of(note(log, a), add(a, 1)); }`,
  "methods and classes": `class C { n = add(1, 2); constructor(a) { this.a = square(a); } get twice() { return add(this.a, this.a); } sum(k = add(1, 1)) { return add(this.n, k) + sum([this.a]); } } function main(log, a) { const c = new C(a); return [c.twice, c.sum(), c.n]; }`,
  "state through functions": `function main(log, a) { state = 0; set_depth(a); const before = get_state(); bump(log); return [before, get_state(), current().depth, add(get_state(), bump(log))]; }`,
  "the object of an assignment": `function main(log, a) { const o = { n: { v: 0 } }; o.n.v = find([a], a); o.n = wrap(o.n.v); return o; }`,
  generators: `function* inner(n) { const r = yield n; return add(r, n); } function* main(log, a) { BUG_ON((yield a) === 9); const at = find([yield "x", 2], a); return [at, scale(yield* inner(square(a))), first(yield 1, yield 2)]; }`,
  "short circuits": `function main(log, a, b) { return (a > 1 && square(note(log, b))) || (scale(b) > 3 ? step(a) : step(bump(log))); }`,
  "variables of blocks": `function main(log, a) { const out = []; for (let i = 0; i < 3; i++) { let n; if (i === a) n = i; out.push(n); const c = () => i; out.push(c); } { let n; out.push(n); } for (const i of [1]) { const n = i; out.push(n); } let x = 1; { let x = 2; out.push(x); } { const state = 9; out.push(state); } out.push(x, state); return out.map((v) => (typeof v === "function" ? v() : v)); }`,
  "loads before and after a call": `function main(log, a) { const o = { n: a }; function raise(p) { p.n++; return p.n; } return [o.n + raise(o), raise(o) + o.n, minus(o.n, raise(o))]; }`,
};

const INPUTS = [-1, 0, 1, 2, 3, 4, 12];

it.each(Object.entries(CASES))("inlining: %s", (_name, main) => {
  const expected = original(HELPERS + main);
  const { main: actual } = compile(HELPERS + main);
  for (const a of INPUTS) {
    for (const b of INPUTS) expect(observe(actual, [a, b])).toEqual(observe(expected, [a, b]));
  }
});

const GONE: readonly (readonly [string, string])[] = [
  ["BUG_ON", `function main(log, a) { BUG_ON(a > 3); }`],
  ["add", `function main(log, a) { while (add(a, 1) < 3) a++; return add(a, a); }`],
  ["find", `function main(log, a) { if (find([1], a) > 0) return 1; const x = find([2], a); return find([3], x); }`],
  ["nested", `function main(log, a) { return a > 0 && nested(a); }`],
  ["clamp", `function main(log, a) { return clamp(log.length, 1); }`],
];

it.each(GONE)("inlining: no call of %s is left", (name, main) => {
  expect(compile(HELPERS + main).text).not.toContain(`${name}(`);
});

it.each([
  ["a generator", `function* callee() { yield 1; }`],
  ["a closure", `function callee() { return () => 1; }`],
  ["a reader of the stack", `function callee() { return new Error().stack; }`],
  ["one that tells its callers apart", `function callee() { return WARN_ON_ONCE(true); }`],
  ["a function that is replaced", `function callee() { return 1; } callee = null;`],
  ["rest parameters", `function callee(...all) { return all; }`],
  ["destructuring", `function callee({ a }) { return a; }`],
  ["this", `function callee() { return this; }`],
  ["one that calls itself", `function callee(n) { return n < 1 ? 0 : callee(n - 1); }`],
  ["one that only throws", `function callee() { throw new RangeError("x"); }`],
])("inlining: never %s", (_what, callee) => {
  const { code } = inlineCalls(`${callee}\nfunction main(a) { return callee(a); }`);
  expect(code.slice(code.indexOf("main("))).toContain("callee(a)");
});

it("inlining: a comment that says @inline raises the limit", () => {
  const body = Array.from({ length: 16 }, (_, i) => `o.f${i} = v + ${i};`).join(" ");
  const bundle = (comment: string) => `
    ${comment} function set(o, v) { ${body} }
    function main(log, o, v) { set(o, v); log.push(o.f3); set(o, v + 1); return o; }`;
  expect(compile(bundle("/** Sets it all. */")).text).toContain("set(o, v");
  const { main, text } = compile(bundle("/** Sets it all. @inline */"));
  expect(text).not.toMatch(/\bset\(/);
  expect(observe(main, [{}, 3])).toEqual(observe(original(bundle("")), [{}, 3]));
});

it("inlining: a new name is unlike every other", () => {
  const { code } = inlineCalls(
    `const x$1 = 7; function sq(x) { return x * x; } function main(o) { return sq(o.x) + x$1; }`,
  );
  expect(code).toContain("var x$2;");
  expect((0, eval)(`${code}; main({ x: 3 })`)).toBe(16);
});

it("inlining: what is inlined keeps its place in the source map", () => {
  const code = `function BUG() { throw new RangeError("x"); }\nfunction check(o) {\n  if (o.limit < 0) BUG();\n}\nfunction main(o) { check(o); }`;
  const result = inlineCalls(code);
  const line = result.code.split("\n").findIndex((text) => text.includes("main(")) + 1;
  const rest = result.code
    .split("\n")
    .slice(line - 1)
    .join("\n");
  const offset = rest.indexOf("o.limit");
  const lines = rest.slice(0, offset).split("\n");
  const at = { line: line + lines.length - 1, column: (lines.at(-1) as string).length };
  expect(originalPositionFor(new TraceMap(result.map), at)).toMatchObject({ line: 3, column: 6 });
});

/** Expressions over the parameters `a` and `b`, the state, effects, and the functions that were defined before. */
function expressionsOver(functions: readonly string[]): fc.Arbitrary<string> {
  const { expression } = fc.letrec<{ expression: string }>((tie) => {
    const operand = tie("expression");
    const leaf = fc.constantFrom("a", "b", "state", "level.depth", "1", "3", "bump(log)");
    const call = fc
      .tuple(
        fc.constantFrom("add", "minus", "first", "square", "step", "scale", "set_depth", ...functions),
        operand,
        operand,
      )
      .map(([name, left, right]) =>
        functions.includes(name) ? `${name}(log, ${left}, ${right})` : `${name}(${left}, ${right})`,
      );
    const binary = fc
      .tuple(operand, fc.constantFrom("+", "-", "<", "&&", "||"), operand)
      .map(([left, operator, right]) => `(${left} ${operator} ${right})`);
    const noted = operand.map((value) => `note(log, ${value})`);
    const assigned = fc
      .tuple(fc.constantFrom("a", "b", "state", "level.depth"), operand)
      .map(([name, value]) => `(${name} = ${value})`);
    const chosen = fc.tuple(operand, operand, operand).map(([c, x, y]) => `(${c} ? ${x} : ${y})`);
    return {
      expression: fc.oneof({ maxDepth: 3, withCrossShrink: true }, leaf, call, binary, noted, assigned, chosen),
    };
  });
  return expression;
}

function bodiesOver(functions: readonly string[]): fc.Arbitrary<string> {
  const e = expressionsOver(functions);
  const simple = fc.oneof(
    e.map((value) => `${value};`),
    fc.tuple(fc.constantFrom("a", "b", "state"), e).map(([name, value]) => `${name} = ${value};`),
    fc.tuple(e, e).map(([c, value]) => `if (${c}) return ${value};`),
    fc.tuple(e, e).map(([c, value]) => `if (${c}) { ${value}; } else b = 2;`),
    fc.tuple(e, e).map(([value, c]) => `for (let i = 0; i < 3; i++) { a = ${value}; if (${c}) break; }`),
    fc.tuple(e, e).map(([value, c]) => `for (const x of [1, 2]) { b = x; if (${c}) return ${value}; }`),
  );
  const local = fc.option(
    e.map((value) => `let c = ${value}; b = c;`),
    { nil: "" },
  );
  return fc
    .tuple(local, fc.array(simple, { maxLength: 3 }), e)
    .map(([first, list, value]) => `${first} ${list.join(" ")} return ${value};`);
}

const programs = fc
  .tuple(bodiesOver([]), bodiesOver(["f1"]), bodiesOver(["f1", "f2"]), bodiesOver(["f1", "f2", "f3"]))
  .map((bodies) =>
    bodies.map((body, i) => `function ${i < 3 ? `f${i + 1}` : "main"}(log, a, b) { ${body} }`).join("\n"),
  );

it("inlining: random programs do the same as before", () => {
  fc.assert(
    fc.property(programs, (program) => {
      const expected = original(HELPERS + program);
      const { main } = compile(HELPERS + program);
      for (const values of [
        [0, 1],
        [2, 3],
        [-1, 12],
      ])
        expect(observe(main, values)).toEqual(observe(expected, values));
    }),
    { numRuns: 80 },
  );
});
