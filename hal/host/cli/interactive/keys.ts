/** Which keys are for the domain, and which are for us: those after the escape character, Ctrl-]. */

/** Ctrl-], as telnet and xl have it. */
export const ESCAPE = 0x1d;

/** What one reads between two returns to the machine. */
export type Typed =
  | { readonly kind: "text"; readonly bytes: Uint8Array }
  | { readonly kind: "command"; readonly key: string };

export class KeyFilter {
  private escaped = false;

  /** Splits what was typed. The escape character twice is the character itself. */
  split(bytes: Uint8Array): Typed[] {
    const found: Typed[] = [];
    let start = 0;
    const text = (end: number) => {
      if (end > start) found.push({ kind: "text", bytes: bytes.slice(start, end) });
    };
    for (let i = 0; i < bytes.length; i++) {
      if (this.escaped) {
        this.escaped = false;
        start = i + 1;
        if (bytes[i] === ESCAPE) found.push({ kind: "text", bytes: Uint8Array.of(ESCAPE) });
        else found.push({ kind: "command", key: String.fromCharCode(bytes[i]) });
      } else if (bytes[i] === ESCAPE) {
        text(i);
        this.escaped = true;
        start = i + 1;
      }
    }
    if (!this.escaped) text(bytes.length);
    return found;
  }
}
