/** From the bytes that a terminal sends to the names of keys. */

/** What each control character and escape sequence asks for. */
const KEYS: Readonly<Record<string, string>> = {
  "\x01": "home",
  "\x02": "left",
  "\x03": "interrupt",
  "\x04": "end-of-file",
  "\x05": "end",
  "\x06": "right",
  "\x08": "erase",
  "\t": "complete",
  "\n": "enter",
  "\x0b": "kill-end",
  "\x0c": "clear",
  "\r": "enter",
  "\x0e": "next",
  "\x10": "previous",
  "\x12": "search",
  "\x15": "kill-begin",
  "\x17": "erase-word",
  "\x19": "yank",
  "\x7f": "erase",
  "\x1b[A": "previous",
  "\x1b[B": "next",
  "\x1b[C": "right",
  "\x1b[D": "left",
  "\x1b[H": "home",
  "\x1b[F": "end",
  "\x1b[1~": "home",
  "\x1b[4~": "end",
  "\x1b[7~": "home",
  "\x1b[8~": "end",
  "\x1b[3~": "delete",
  "\x1bOA": "previous",
  "\x1bOB": "next",
  "\x1bOC": "right",
  "\x1bOD": "left",
  "\x1bOH": "home",
  "\x1bOF": "end",
  "\x1b[1;5C": "right-word",
  "\x1b[1;5D": "left-word",
  "\x1b[1;3C": "right-word",
  "\x1b[1;3D": "left-word",
  "\x1bb": "left-word",
  "\x1bf": "right-word",
  "\x1bd": "delete-word",
  "\x1b\x7f": "erase-word",
};

/** Whether more bytes may make it a sequence. */
function is_begun(bytes: string): boolean {
  return bytes === "\x1b" || bytes === "\x1bO" || /^\x1b\[[0-9;]*$/.test(bytes);
}

/** Puts bytes together to keys. */
export class key_reader {
  private bytes = "";

  /** Takes one byte. Returns a key's name, a printable character as it is, "" for one that means nothing, or null when more must come. */
  take(c: string): string | null {
    this.bytes += c;
    if (is_begun(this.bytes)) return null;
    const { bytes } = this;
    this.bytes = "";
    if (Object.hasOwn(KEYS, bytes)) return KEYS[bytes];
    return bytes.length === 1 && bytes >= " " ? bytes : "";
  }
}
