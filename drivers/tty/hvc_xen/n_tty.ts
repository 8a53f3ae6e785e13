/**
 * The line discipline (Linux drivers/tty/n_tty.c): between the keys and the reader, and between the writer and the screen.
 *
 *   keys ─► receive ─► read_buf ─► read          raw: bytes as they come; canonical: whole lines, edited before they are seen
 *              └─ echo ─► screen ◄─ output ◄─ write
 *
 *   read_buf:  [ read_tail .. canon_head )  what may be read       [ canon_head .. read_head )  the line that is being typed
 *
 * Indices run freely. Nothing here sleeps; what is typed is only text.
 */
import { SIGINT, SIGQUIT } from "xenolith/linux/signal";
import {
  ECHO,
  ECHOCTL,
  ECHOE,
  ECHOKE,
  ICANON,
  ICRNL,
  IEXTEN,
  ISIG,
  ONLCR,
  OPOST,
  VEOF,
  VERASE,
  VINTR,
  VKILL,
  VLNEXT,
  VQUIT,
  VREPRINT,
  VWERASE,
  termios,
} from "xenolith/linux/termios";

/** Bytes that wait to be read, at most. */
export const N_TTY_BUF_SIZE = 4096;
/** Kinds of bytes in the buffer. */
const PLAIN = 0;
/** Ends a line and is read with it. */
const LINE_END = 1;
/** Ends a line and is not read. Linux: __DISABLED_CHAR. */
const FILE_END = 2;

const BELL = "\x07";
const NEWLINE = 10;
const RETURN = 13;
const TAB = 9;

export interface n_tty_ops {
  /** Shows text. What does not fit is the driver's business. */
  echo(text: string): void;
  /** A key's signal for the foreground. */
  signal(sig: number): void;
}

function mask(index: number): number {
  return index & (N_TTY_BUF_SIZE - 1);
}

function is_word(code: number): boolean {
  return code === 95 || (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
}

export class n_tty {
  readonly termios = new termios();
  private readonly buf = new Uint8Array(N_TTY_BUF_SIZE);
  private readonly kinds = new Uint8Array(N_TTY_BUF_SIZE);
  private read_tail = 0;
  private canon_head = 0;
  private read_head = 0;
  /** The next byte is taken as it is. */
  private lnext = false;
  /** Where the cursor is, and where it was when the line began. */
  private column = 0;
  private canon_column = 0;

  constructor(private readonly ops: n_tty_ops) {}

  private has(lflag: number): boolean {
    return (this.termios.c_lflag & lflag) !== 0;
  }

  // ---- in

  /** Bytes that it can take now. A line that never ends is cut, so that its end can come in. */
  receive_room(): number {
    const room = N_TTY_BUF_SIZE - (this.read_head - this.read_tail);
    return room === 0 && this.has(ICANON) && this.canon_head === this.read_tail ? 1 : room;
  }

  /** Whether a read would get something. */
  input_available(): boolean {
    return this.canon_head !== this.read_tail;
  }

  /** Nothing more will be typed: a line that was begun is one. */
  hang_up(): void {
    this.canon_head = this.read_head;
  }

  /** Drops what was not read. */
  flush(): void {
    this.read_tail = this.canon_head = this.read_head;
    this.lnext = false;
  }

  receive_buf(bytes: Uint8Array, count: number): void {
    for (let i = 0; i < count; i++) this.receive_char(bytes[i]);
    if (!this.has(ICANON)) this.canon_head = this.read_head;
  }

  /** Raw and canonical reading see what the other one left. */
  settings_changed(): void {
    if (!this.has(ICANON)) this.canon_head = this.read_head;
  }

  private receive_char(typed: number): void {
    const code = typed === RETURN && (this.termios.c_iflag & ICRNL) !== 0 ? NEWLINE : typed;
    if (this.lnext) {
      this.lnext = false;
      this.put(code, PLAIN);
      return;
    }
    if (this.has(ISIG) && this.receive_signal(code)) return;
    if (this.has(ICANON)) this.receive_canon(code);
    else this.put(code, PLAIN);
  }

  private receive_signal(code: number): boolean {
    const { c_cc } = this.termios;
    const sig = code === c_cc[VINTR] ? SIGINT : code === c_cc[VQUIT] ? SIGQUIT : 0;
    if (sig === 0 || code === 0) return false;
    if (this.has(ECHO)) this.output_echo(code);
    this.flush();
    this.ops.signal(sig);
    return true;
  }

  private receive_canon(code: number): void {
    const { c_cc } = this.termios;
    const extended = this.has(IEXTEN);
    if (code === c_cc[VERASE] || code === 8) this.erase(1);
    else if (code === c_cc[VKILL]) this.kill();
    else if (extended && code === c_cc[VWERASE]) this.erase(this.word_length());
    else if (extended && code === c_cc[VLNEXT]) this.lnext = true;
    else if (extended && code === c_cc[VREPRINT]) this.reprint();
    else if (code === NEWLINE) this.end_line(NEWLINE, LINE_END);
    else if (code === c_cc[VEOF]) this.end_line(0, FILE_END);
    else this.put(code, PLAIN);
  }

  /** Stores a byte. The last place is kept for a line's end. */
  private put(code: number, kind: number): void {
    const used = this.read_head - this.read_tail;
    const limit = kind === PLAIN && this.has(ICANON) ? N_TTY_BUF_SIZE - 1 : N_TTY_BUF_SIZE;
    if (used >= limit) {
      if (this.has(ECHO)) this.ops.echo(BELL);
      return;
    }
    if (this.read_head === this.canon_head) this.canon_column = this.column;
    this.buf[mask(this.read_head)] = code;
    this.kinds[mask(this.read_head)] = kind;
    this.read_head++;
    if (this.has(ECHO) && kind === PLAIN) this.output_echo(code);
  }

  private end_line(code: number, kind: number): void {
    if (this.has(ECHO) && kind === LINE_END) this.output_text("\n");
    this.put(code, kind);
    this.canon_head = this.read_head;
  }

  // ---- editing

  private shown(code: number): string {
    if (code === TAB) return "\t";
    if (code >= 32 && code !== 127) return String.fromCharCode(code);
    return this.has(ECHOCTL) ? `^${String.fromCharCode(code ^ 64)}` : String.fromCharCode(code);
  }

  private output_echo(code: number): void {
    this.output_text(code === NEWLINE ? "\n" : this.shown(code));
  }

  /** The cursor's column after the typed line without its last `less` bytes. */
  private column_without(less: number): number {
    let column = this.canon_column;
    for (let i = this.canon_head; i < this.read_head - less; i++) {
      const code = this.buf[mask(i)];
      column = code === TAB ? (column | 7) + 1 : column + this.shown(code).length;
    }
    return column;
  }

  /** Takes back the last `count` bytes of the line, and off the screen. */
  private erase(count: number): void {
    for (let left = Math.min(count, this.read_head - this.canon_head); left > 0; left--) this.erase_one();
  }

  private erase_one(): void {
    const column = this.column_without(1);
    this.read_head--;
    if (!this.has(ECHO) || !this.has(ECHOE)) return;
    const back = this.column - column;
    this.ops.echo(this.buf[mask(this.read_head)] === TAB ? "\b".repeat(back) : "\b \b".repeat(back));
    this.column = column;
  }

  private kill(): void {
    const length = this.read_head - this.canon_head;
    if (this.has(ECHOKE)) {
      this.erase(length);
      return;
    }
    this.read_head = this.canon_head;
    if (this.has(ECHO)) this.output_text(`${this.shown(this.termios.c_cc[VKILL])}\n`);
  }

  /** Bytes of the last word and of what is after it. */
  private word_length(): number {
    let length = 0;
    const before = (): number => this.buf[mask(this.read_head - length - 1)];
    const left = (): boolean => length < this.read_head - this.canon_head;
    while (left() && !is_word(before())) length++;
    while (left() && is_word(before())) length++;
    return length;
  }

  private reprint(): void {
    if (!this.has(ECHO)) return;
    this.output_text("^R\n");
    this.canon_column = this.column;
    for (let i = this.canon_head; i < this.read_head; i++) this.output_echo(this.buf[mask(i)]);
  }

  // ---- out

  /** Text as the screen gets it; keeps count of the column. */
  process_output(text: string): string {
    const post = (this.termios.c_oflag & OPOST) !== 0;
    const newline = post && (this.termios.c_oflag & ONLCR) !== 0;
    for (let i = 0; i < text.length; i++) this.track(text.charCodeAt(i), newline);
    return newline ? text.replaceAll("\n", "\r\n") : text;
  }

  private track(code: number, newline: boolean): void {
    if (code === RETURN || (code === NEWLINE && newline)) this.column = 0;
    else if (code === 8) this.column = Math.max(0, this.column - 1);
    else if (code === TAB) this.column = (this.column | 7) + 1;
    else if (code >= 32 && code !== 127) this.column++;
  }

  private output_text(text: string): void {
    this.ops.echo(this.process_output(text));
  }

  // ---- read

  /** Takes what may be read: at most one line when lines are read. 0 at an end of file. */
  read(to: Uint8Array): number {
    const canon = this.has(ICANON);
    let count = 0;
    while (count < to.length && this.read_tail !== this.canon_head) {
      const at = mask(this.read_tail++);
      const kind = this.kinds[at];
      if (kind === FILE_END && canon) break;
      to[count++] = this.buf[at];
      if (kind === LINE_END && canon) break;
      // An end of file right after what was asked for belongs to it, or the next read would see an empty file.
      const next = mask(this.read_tail);
      const full = count === to.length && this.read_tail !== this.canon_head;
      if (canon && full && this.kinds[next] === FILE_END) this.read_tail++;
    }
    return count;
  }
}
