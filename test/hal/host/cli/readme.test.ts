/** The README's examples are run: what they print has the shape that it shows. Numbers, hashes and the width of frames may differ. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { parseMachineFile } from "xenolith";
import { shape } from "../../../docs/shape";
import { scratchFolder, xenolith } from "./run";

const ROOT = path.resolve(import.meta.dirname, "../../../..");
const readme = fs.readFileSync(path.join(ROOT, "README.md"), "utf8");
const at = scratchFolder();

/** Texts of the fenced blocks of a language. */
function blocks(language: string): string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "gm"))].map((match) => match[1]);
}

/** Cuts a command into words, with double quotes. */
function words(command: string): string[] {
  return [...command.matchAll(/(?:"[^"]*"|[^\s"])+/g)].map((match) => match[0].replace(/"/g, ""));
}

/** Commands that show what they print, other than the first one, which makes a file. */
const examples = blocks("console")
  .map((block) => /^\$ npx xenolith (.*)\n([^]+)$/.exec(block))
  .filter((match) => match !== null)
  .map((match): [string, string] => [match[1], match[2]]);

describe("README", () => {
  it("opens with the two commands", () => {
    expect(blocks("console").slice(0, 2)).toEqual(["$ npm ci && npm start\n", "$ npm cit\n"]);
  });

  it("npm start prints what it shows", () => {
    const shown = blocks("console").find((block) => block.startsWith("$ npm start\n")) ?? "";
    fs.mkdirSync(at("fresh"));
    const cli = path.join(ROOT, "dist", "cli.js");
    const ended = spawnSync(process.execPath, [cli, "boot"], { cwd: at("fresh"), encoding: "utf8" });
    expect(ended.status).toBe(0);
    expect(ended.stderr).toBe("made .xenolith/disk.img (16 MiB)\n");
    expect(shape(ended.stderr + ended.stdout)).toBe(shape(shown.slice(shown.indexOf("made "))));
  });

  it("has examples", () => {
    expect(examples.length).toBeGreaterThanOrEqual(4);
  });

  it.each(examples)("xenolith %s", async (command, shown) => {
    const { stdout, stderr } = await xenolith(words(command));
    expect(shape(stdout + stderr)).toBe(shape(shown));
  });

  it("the machine file is one", () => {
    const [text] = blocks("json");
    expect(parseMachineFile(text, "README.md").domains.map(({ name }) => name)).toEqual(["dom0", "web", "db"]);
  });

  it("names every program of the image", async () => {
    const { stdout } = await xenolith(["inspect", "--json"]);
    const { bundles } = JSON.parse(stdout) as { bundles: { kind: string; name: string }[] };
    for (const { kind, name } of bundles) if (kind === "programs") expect(readme).toContain(`\`${name}\``);
  });

  it("names every flag of boot", async () => {
    const { stdout } = await xenolith(["boot", "--help"]);
    for (const [flag] of stdout.matchAll(/--[a-z]+/g)) if (flag !== "--help") expect(readme).toContain(flag);
  });
});

describe("README: the program", () => {
  const [program] = blocks("js");
  const [shown] = blocks("text").filter((block) => block.startsWith("NAME"));

  beforeAll(() => {
    const url = pathToFileURL(path.join(ROOT, "dist", "index.js")).href;
    fs.writeFileSync(at("example.mjs"), program.replace('from "xenolith"', `from ${JSON.stringify(url)}`));
  });

  it("prints what it shows", () => {
    const ended = spawnSync(process.execPath, [at("example.mjs")], { encoding: "utf8" });
    expect(ended.stderr).toBe("");
    expect(ended.stdout).toBe(shown);
  });
});
