/** Sizes as util-linux's programs read them. */
const POWERS = "KMGT";

/** `64k`, `64KiB` and `64K` are 64 * 1024, `64KB` is 64 * 1000, `0x1000` and `512` are bytes; -1 for anything else. */
export function strtosize(text: string): number {
  const match = /^(0x[0-9a-f]+|\d+)(?:([kmgt])(ib|b)?)?$/i.exec(text);
  if (match === null) return -1;
  let bytes = Number(match[1]);
  const base = (match[3] ?? "").toLowerCase() === "b" ? 1000 : 1024;
  const power = match[2] === undefined ? 0 : POWERS.indexOf(match[2].toUpperCase()) + 1;
  for (let i = 0; i < power; i++) bytes *= base;
  return Number.isSafeInteger(bytes) ? bytes : -1;
}
