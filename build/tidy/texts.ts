/** What any text of the project must not say, where files may lie, and how long they may get. */
import { type Check, type Finding } from "./project";

const TOP_LEVEL = new Set([
  ".ci",
  ".editorconfig",
  ".gitattributes",
  ".gitignore",
  ".prettierignore",
  ".prettierrc",
  ".vscode",
  "CHANGELOG.md",
  "LICENSE",
  "README.md",
  "build",
  "docs",
  "drivers",
  "eslint.config.mjs",
  "hal",
  "images",
  "kernel",
  "package-lock.json",
  "package.json",
  "test",
  "tsconfig.guest.json",
  "tsconfig.json",
  "tsconfig.types.json",
  "vitest.config.ts",
]);

/** The folders are fixed. */
export const topLevel: Check = {
  name: "top-level",
  *run(project) {
    const names = new Set(project.files.map((file) => file.split("/")[0]));
    for (const name of names) {
      if (!TOP_LEVEL.has(name))
        yield { check: "top-level", file: name, line: 0, message: "does not belong at the top level" };
    }
  },
};

/** Written in parts, so that this file does not find itself. */
const words = (...parts: string[]): string => parts.join("");
const BANNED: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: new RegExp(words("(?<![\\w.$/])/(home|Users|root|work)", "/\\w")), what: "a path of somebody's machine" },
  { pattern: new RegExp(words("\\b[A-Z]:", "\\\\\\\\?Users\\b")), what: "a path of somebody's machine" },
  {
    pattern: new RegExp(words("registry", "\\.(npmjs|yarnpkg)|\\bnpmmirror", "|\\bjfrog\\.io|\\bverdaccio\\b")),
    what: "a package registry",
  },
  { pattern: new RegExp(words("\\b(TO", "DO|FIX", "ME|XX", "X|HA", "CK)\\b")), what: "unfinished work" },
  { pattern: new RegExp(words("\\bnot ", "(yet )?implemented\\b"), "i"), what: "unfinished work" },
  { pattern: new RegExp(words("@ts-", "(ignore|nocheck)")), what: "a switched-off type check" },
  {
    pattern: new RegExp(words("\\b(it|test|describe)\\.(on", "ly|ski", "p)\\(")),
    what: "a test that is left out, or leaves out others",
  },
];

/** Paths of machines, registries, unfinished work, switched-off checks. */
export const bannedText: Check = {
  name: "banned-text",
  *run(project) {
    for (const file of project.files) {
      if (file === "package-lock.json" || file.startsWith("test/golden/")) continue;
      const lines = project.text(file).split("\n");
      for (const [index, line] of lines.entries()) {
        const banned = BANNED.find(({ pattern }) => pattern.test(line));
        if (banned) yield { check: "banned-text", file, line: index + 1, message: `${banned.what}: ${line.trim()}` };
      }
    }
  },
};

const LINES_MAX = 500;
const EXEMPT = /^[ /*]*tidy: (table|one file as in Linux)\b/m;

/** One noun per file. A table says `tidy: table` in its header comment, a driver that is read side by side with Linux's file `tidy: one file as in Linux`. */
export const fileLength: Check = {
  name: "file-length",
  *run(project): Generator<Finding, void, void> {
    for (const file of project.files) {
      if (!/\.(ts|mjs)$/.test(file)) continue;
      const text = project.text(file);
      const count = text.split("\n").length - 1;
      if (count <= LINES_MAX || EXEMPT.test(text.slice(0, 2000))) continue;
      yield { check: "file-length", file, line: 0, message: `${count} lines; at most ${LINES_MAX}` };
    }
  },
};
