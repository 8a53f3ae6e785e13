/** Tables for people: no colour codes of their own, no lines between rows, nothing at the end of a line. */
import { loadTables } from "../on-demand";

/** A cell; numbers stand at the right. */
export type Cell = string | number;

const NO_INNER_LINES = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };
const NO_LINES = {
  ...NO_INNER_LINES,
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  right: "",
  middle: "  ",
};
/** The library's default style is coloured whatever the output is. */
const UNCOLOURED = { head: [], border: [] };

function aligned(cell: Cell): string | { content: string; hAlign: "right" } {
  return typeof cell === "number" ? { content: String(cell), hAlign: "right" } : cell;
}

/** Names and their values, in a frame. */
export function framedTable(rows: readonly (readonly [string, Cell])[]): string {
  const Table = loadTables();
  const table = new Table({ style: UNCOLOURED, chars: NO_INNER_LINES });
  for (const [name, value] of rows) table.push([name, aligned(value)]);
  return table.toString();
}

/** Columns under their names, without a frame, as Linux's tools print lists. */
export function listTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const style = { ...UNCOLOURED, "padding-left": 0, "padding-right": 0 };
  const Table = loadTables();
  const table = new Table({ head: [...head], style, chars: NO_LINES });
  for (const row of rows) table.push(row.map(aligned));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}
