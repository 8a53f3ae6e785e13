/** What is compared when the texts of documents are held against what programs print. */

/** A text without what may differ: hashes, numbers, the width of columns and frames, and the folder that a file is in. */
export function shape(text: string): string {
  return text
    .replace(/\b[0-9a-f]{64}\b/g, "HASH")
    .replace(/\/\S*\/(?=[\w.]+\.img)/g, "")
    .replace(/\d+(\.\d+)?/g, "#")
    .replace(/─+/g, "─")
    .replace(/ +/g, " ")
    .trim();
}
