/** The line that is being edited: its text, the cursor, what was killed. Text is bytes; a character of several bytes is moved over as one. */

/** A byte in the middle of a UTF-8 character. */
function is_inside(c: string | undefined): boolean {
  return c !== undefined && c >= "\x80" && c < "\xc0";
}

function is_word(c: string | undefined): boolean {
  return c !== undefined && /[A-Za-z0-9_\x80-\xff]/.test(c);
}

/** Columns that a text takes on the screen. */
export function width(text: string): number {
  let columns = 0;
  for (const c of text) if (!is_inside(c)) columns++;
  return columns;
}

export class edited_line {
  text = "";
  cursor = 0;
  private killed = "";

  set(text: string): void {
    this.text = text;
    this.cursor = text.length;
  }

  insert(text: string): void {
    this.text = this.text.slice(0, this.cursor) + text + this.text.slice(this.cursor);
    this.cursor += text.length;
  }

  /** Takes out what is between two places. */
  cut(from: number, to: number): string {
    const taken = this.text.slice(from, to);
    this.text = this.text.slice(0, from) + this.text.slice(to);
    this.cursor = from;
    return taken;
  }

  private left(): number {
    let at = Math.max(0, this.cursor - 1);
    while (at > 0 && is_inside(this.text[at])) at--;
    return at;
  }

  private right(): number {
    let at = Math.min(this.text.length, this.cursor + 1);
    while (is_inside(this.text[at])) at++;
    return at;
  }

  private left_word(): number {
    let at = this.cursor;
    while (at > 0 && !is_word(this.text[at - 1])) at--;
    while (at > 0 && is_word(this.text[at - 1])) at--;
    return at;
  }

  private right_word(): number {
    let at = this.cursor;
    while (at < this.text.length && !is_word(this.text[at])) at++;
    while (is_word(this.text[at])) at++;
    return at;
  }

  /** Where the blank-separated word before the cursor begins. */
  private left_blank(): number {
    let at = this.cursor;
    while (at > 0 && this.text[at - 1] === " ") at--;
    while (at > 0 && this.text[at - 1] !== " ") at--;
    return at;
  }

  /** Does what an editing key asks for. Returns whether it was one. */
  edit(key: string): boolean {
    const end = this.text.length;
    if (key === "left") this.cursor = this.left();
    else if (key === "right") this.cursor = this.right();
    else if (key === "home") this.cursor = 0;
    else if (key === "end") this.cursor = end;
    else if (key === "left-word") this.cursor = this.left_word();
    else if (key === "right-word") this.cursor = this.right_word();
    else if (key === "erase") this.cut(this.left(), this.cursor);
    else if (key === "delete") this.cut(this.cursor, this.right());
    else if (key === "erase-word") this.killed = this.cut(this.left_blank(), this.cursor);
    else if (key === "delete-word") this.killed = this.cut(this.cursor, this.right_word());
    else if (key === "kill-end") this.killed = this.cut(this.cursor, end);
    else if (key === "kill-begin") this.killed = this.cut(0, this.cursor);
    else if (key === "yank") this.insert(this.killed);
    else return false;
    return true;
  }
}
