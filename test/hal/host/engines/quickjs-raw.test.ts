import { describe, expect, it } from "vitest";
import { RawQuickJS } from "../../../../hal/host/engines/quickjs-raw";

const LIMITS = { heap: 16 << 20, stack: 128 << 10 };

describe("quickjs-raw", () => {
  it("aliases memory without a copy, and collecting 400 contexts of 16 aliases leaves the bytes and the heap alone", async () => {
    const raw = await RawQuickJS.create(64 << 20, 65536);
    const region = raw.pages;
    const before = raw.heap().length;
    raw.heap()[region + 5] = 77;
    for (let i = 0; i < 400; i++) {
      const context = raw.newContext(LIMITS);
      const sum = raw.evaluate(context, "(function (b) { const u = new Uint8Array(b); u[6] = u[5] + 1; })", "t.js");
      for (let k = 0; k < 16; k++) {
        const alias = raw.alias(context, region, 4096);
        raw.free(context, raw.call(context, sum, [alias]));
        raw.free(context, alias);
      }
      raw.free(context, sum);
      raw.disposeContext(context, 0);
    }
    expect(raw.heap()[region + 6]).toBe(78);
    expect(raw.heap().length).toBe(before);
  });

  it("the pages of a new instance are zero, those beyond what it began with too", async () => {
    const size = 40 << 20;
    const raw = await RawQuickJS.create(64 << 20, size);
    expect(raw.pages % 4096).toBe(0);
    const pages = Buffer.from(raw.heap().buffer, raw.pages, size);
    expect(pages.equals(Buffer.alloc(size))).toBe(true);
  });

  it("an instance with another one's facts aliases and calls as one that found them itself, and nothing was searched for in it", async () => {
    const first = await RawQuickJS.create(64 << 20, 65536);
    const second = await RawQuickJS.create(64 << 20, 65536, 0, first.facts());
    expect(second.facts()).toEqual(first.facts());
    expect(second.heapEnd()).toBeLessThan(first.heapEnd());
    const context = second.newContext(LIMITS);
    const write = second.evaluate(context, "(function (b) { new Uint8Array(b)[5] = 77; })", "t.js");
    const alias = second.alias(context, second.pages, 4096);
    second.free(context, second.call(context, write, [alias]));
    for (const owned of [alias, write]) second.free(context, owned);
    second.disposeContext(context, 0);
    expect(second.heap()[second.pages + 5]).toBe(77);
    second.measureStack();
    expect(second.facts()).toEqual(first.facts());
  });

  it("evaluate, newString: texts of any length and characters arrive as they are", async () => {
    const raw = await RawQuickJS.create(64 << 20);
    const context = raw.newContext(LIMITS);
    const text = `${"µ€😀x".repeat(50_000)}end`;
    const same = raw.evaluate(context, `(function (given) { return given === ${JSON.stringify(text)}; })`, "t.js");
    const answers: number[] = [];
    const take = raw.newFunction(context, 1, 0, "take", (_argc, argv) => (answers.push(raw.argumentInt(argv, 0)), 0));
    for (const given of [text, `${text}.`]) {
      const value = raw.newString(context, given);
      const answer = raw.call(context, same, [value]);
      raw.free(context, raw.call(context, take, [answer]));
      for (const owned of [value, answer]) raw.free(context, owned);
    }
    expect(answers).toEqual([1, 0]);
  });

  it("takeException: names what was thrown and where", async () => {
    const raw = await RawQuickJS.create(64 << 20);
    const context = raw.newContext(LIMITS);
    const text = raw.takeException(context, raw.evaluate(context, "\nnull.x", "file.js"));
    expect(text).toMatch(/TypeError[^]*file\.js:2/);
  });

  it("onInterrupt: ends an endless loop after the same number of polls every time", async () => {
    const raw = await RawQuickJS.create(64 << 20);
    const polls: number[] = [];
    for (let i = 0; i < 2; i++) {
      const context = raw.newContext(LIMITS);
      let count = 0;
      raw.onInterrupt(context, () => ++count === 50);
      const text = raw.takeException(context, raw.evaluate(context, "var n = 0; for (;;) n++;", "loop.js"));
      expect(text).toMatch(/interrupted/);
      const value = raw.evaluate(context, "String(n)", "read.js");
      const read = raw.newFunction(context, 1, 0, "read", (_argc, argv) => {
        polls.push(Number(raw.argumentString(context, argv, 0)));
        return 0;
      });
      raw.free(context, raw.call(context, read, [value]));
    }
    expect(polls[0]).toBeGreaterThan(1000);
    expect(polls[1]).toBe(polls[0]);
  });
});
