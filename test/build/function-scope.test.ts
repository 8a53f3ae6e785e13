import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { widenScopes } from "../../build/function-scope";

function widen(body: string): string {
  return widenScopes(`(function (exports) { function main(a) { ${body} } })`);
}

describe("widenScopes", () => {
  it.each([
    ["a variable of the function", "const x = a; return x;"],
    ["a variable without a value, outside of loops", "let x; if (a) x = 1; return x;"],
    ["a variable of a block", "if (a) { const x = a; return x; }"],
    ["one name in blocks beside each other", "if (a) { const x = 1; return x; } else { const x = 2; return x; }"],
    ["a loop's head that nobody captures", "for (let i = 0; i < a; i++) main(i);"],
    ["the head of for-of", "for (const x of a) main(x);"],
    ["a captured variable outside of loops", "const x = a; return () => x;"],
    ["a name that is a property elsewhere", "const o = { x: a }; { const x = 1; main(x); } return o.x;"],
  ])("%s becomes var", (_what, body) => {
    expect(widen(body)).not.toMatch(/\b(let|const)\b(?! o)/);
  });

  it.each([
    ["a name of a parameter", "{ const a = 1; main(a); }"],
    ["a name that means something else outside of its block", "{ const x = 1; main(x); } return x;"],
    ["a name that is declared again inside", "const x = a; { const x = 1; main(x); } return x;"],
    ["what a closure captures in a loop", "while (a) { const x = a; main(() => x); }"],
    ["a captured loop variable", "for (let i = 0; i < a; i++) main(() => i);"],
    ["a variable that a loop must make undefined again", "while (a) { let x; if (a) x = 1; main(x); }"],
  ])("%s stays", (_what, body) => {
    expect(widen(body)).toMatch(/\b(let|const) (a|x|i)\b/);
  });

  it("leaves the top level alone and changes no length", () => {
    const code = `(function (exports) { const top = 1; let other = 2; function f() { const x = top; let y = other; return x + y; } })`;
    const result = widenScopes(code);
    expect(result).toHaveLength(code.length);
    expect(result).toContain("const top = 1; let other = 2;");
    expect(result).toContain("var   x = top; var y = other;");
  });

  it("changes no result, whatever the blocks", () => {
    const name = fc.constantFrom("x", "y", "z");
    const { statements } = fc.letrec<{ statement: string; statements: string }>((tie) => ({
      statement: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        fc
          .tuple(name, name)
          .map(([to, from]) => `if (typeof ${from} === "number") { ${to} = ${from} + 1; log.push(${to}); }`),
        fc.tuple(name, fc.integer()).map(([n, value]) => `{ let ${n} = ${value}; log.push(${n}++); }`),
        fc
          .tuple(name, tie("statements"))
          .map(([n, body]) => `{ const ${n}0 = log.length; let ${n} = ${n}0; ${body} log.push(${n}); }`),
        fc
          .tuple(name, tie("statements"))
          .map(([n, body]) => `for (let ${n} = 0, k = 0; k < 3; k++, ${n}++) { ${body} }`),
        fc
          .tuple(name, tie("statements"))
          .map(
            ([n, body]) =>
              `for (const k of [1, 2]) { let ${n}; log.push(${n}); ${n} = k; ${body} later.push(() => ${n}); }`,
          ),
      ),
      statements: fc.array(tie("statement"), { maxLength: 4 }).map((all) => all.join(" ")),
    }));
    fc.assert(
      fc.property(statements, (body) => {
        const code = `(function () { let x = 1, y = 2, z = 3; return function main(y) { const log = [], later = []; ${body} return [...log, ...later.map((f) => f()), x, y, z]; }; })`;
        const run = (text: string): unknown => ((0, eval)(text) as () => (y: number) => unknown)()(7);
        expect(run(widenScopes(code))).toEqual(run(code));
      }),
    );
  });
});
