#!/usr/bin/env node
/**
 * Records a session on the console: docs/console.cast, which asciinema plays, and docs/console.svg, its last screen. Run it again when what one
 * sees has changed. It needs `script` (util-linux), which makes the pseudo-terminal, and a built dist/.
 *
 *   node build/recording.mjs
 */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import xterm from "@xterm/headless";
import { root } from "./load.mjs";

const COLUMNS = 96;
const ROWS = 30;
const ESCAPE_KEY = "\u001d";
/** What is typed, and the pause after it, ms. */
const KEYS = [
  ["", 1500],
  ["lsblk\r", 600],
  ["cat /sys/bl\t", 500],
  ["xvda/st\t\r", 600],
  ["echo precious > /dev/xvda; sync\r", 600],
  [`${ESCAPE_KEY}s`, 800],
  ["dd if=/dev/zero of=/dev/xvda bs=4k count=1\r", 600],
  ["hexdump -C -n 16 /dev/xvda\r", 600],
  [`${ESCAPE_KEY}r`, 800],
  ["hexdump -C -n 16 /dev/xvda\r", 800],
];
const KEY_MS = 40;

const CELL = { width: 8.4, height: 18 };
const MARGIN = 12;
const COLOURS = ["#1d1f21", "#cc6666", "#b5bd68", "#f0c674", "#81a2be", "#b294bb", "#8abeb7", "#c5c8c6"];
const BRIGHT = ["#666666", "#d54e53", "#b9ca4a", "#e7c547", "#7aa6da", "#c397d8", "#70c0b1", "#eaeaea"];

/** Types the keys into a session on a terminal; resolves to what it printed: pairs of seconds and text. */
async function record() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-recording-"));
  const program = `"${process.execPath}" "${path.join(root, "dist", "cli.js")}" boot -q -i --disk ram:16M`;
  const shell = `stty cols ${COLUMNS} rows ${ROWS}; exec ${program}`;
  const child = spawn("script", ["-qfec", shell, "/dev/null"], { cwd: folder, env: { ...process.env, TERM: "xterm" } });
  const ended = new Promise((resolve) => child.on("close", resolve));
  const start = performance.now();
  const events = [];
  child.stdout.setEncoding("utf8").on("data", (text) => events.push([(performance.now() - start) / 1000, text]));
  for (const [keys, pause] of KEYS) {
    for (const key of keys) {
      child.stdin.write(key);
      await sleep(KEY_MS);
    }
    await sleep(pause);
  }
  const shown = events.length;
  child.stdin.write(`${ESCAPE_KEY}q`);
  await ended;
  fs.rmSync(folder, { recursive: true });
  return events.slice(0, shown);
}

function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function colourOf(cell) {
  if (!cell.isFgPalette()) return COLOURS[7];
  const index = cell.getFgColor();
  return (index < 8 ? COLOURS[index] : BRIGHT[index - 8]) ?? COLOURS[7];
}

/** The runs of one colour in a line of the screen, as SVG texts. */
function lineOf(line, row) {
  const texts = [];
  let run = null;
  for (let x = 0; x < COLUMNS; x++) {
    const cell = line.getCell(x);
    const chars = cell?.getChars() || " ";
    const style = cell === undefined ? "" : `fill="${colourOf(cell)}"${cell.isBold() ? ' font-weight="bold"' : ""}`;
    if (run === null || run.style !== style) texts.push((run = { x, style, text: "" }));
    run.text += chars;
  }
  const y = MARGIN + (row + 0.75) * CELL.height;
  return texts
    .filter(({ text }) => text.trim() !== "")
    .map(({ x, style, text }) => {
      const lead = text.length - text.trimStart().length;
      const left = (MARGIN + (x + lead) * CELL.width).toFixed(1);
      const width = (text.trim().length * CELL.width).toFixed(1);
      return `  <text x="${left}" y="${y}" ${style} textLength="${width}" xml:space="preserve">${escaped(
        text.trim(),
      )}</text>`;
    });
}

/** The last screen, as a picture. */
async function picture(events) {
  const terminal = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, allowProposedApi: true });
  for (const [, text] of events) await new Promise((resolve) => terminal.write(text, resolve));
  const { active } = terminal.buffer;
  const lines = Array.from({ length: ROWS }, (_, row) => lineOf(active.getLine(active.viewportY + row), row));
  const used = lines.findLastIndex((texts) => texts.length > 0) + 1;
  const width = Math.ceil(COLUMNS * CELL.width + 2 * MARGIN);
  const height = used * CELL.height + 2 * MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
    '  font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">',
    `  <rect width="100%" height="100%" rx="6" fill="${COLOURS[0]}"/>`,
    ...lines.flat(),
    "</svg>",
    "",
  ].join("\n");
}

const events = await record();
const header = { version: 2, width: COLUMNS, height: ROWS, title: "xenolith boot -i" };
const cast = [header, ...events.map(([at, text]) => [Number(at.toFixed(3)), "o", text])];
fs.writeFileSync(path.join(root, "docs", "console.cast"), cast.map((line) => `${JSON.stringify(line)}\n`).join(""));
fs.writeFileSync(path.join(root, "docs", "console.svg"), await picture(events));
console.log(`docs/console.cast and docs/console.svg: ${events.length} pieces, ${events.at(-1)?.[0].toFixed(1)} s`);
