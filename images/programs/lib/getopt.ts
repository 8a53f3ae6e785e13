/** Options of a command line, as getopt_long reads them: `-o 1M`, `-o1M`, `-sf`, `--offset 1M`, `--offset=1M`; `--` ends them. */

/** What a program understands: short letters (with `:` after those that take a value), and the letters of long names. */
export interface option_table {
  readonly short: string;
  readonly long: Readonly<Record<string, string>>;
}

export interface parsed_options {
  /** By letter; "" for an option without value. */
  readonly options: ReadonlyMap<string, string>;
  readonly operands: readonly string[];
  /** The first thing wrong, in getopt's words; null if nothing is. */
  readonly complaint: string | null;
}

/** What is left to read, and what was found. */
class option_reader {
  readonly options = new Map<string, string>();
  readonly operands: string[] = [];
  complaint: string | null = null;
  private at = 1;

  constructor(private readonly argv: readonly string[], private readonly table: option_table) {}

  read(): void {
    while (this.at < this.argv.length && this.complaint === null) {
      const word = this.argv[this.at++];
      if (word === "--") {
        this.operands.push(...this.argv.slice(this.at));
        return;
      }
      if (word.startsWith("--")) this.long(word.slice(2));
      else if (word.startsWith("-") && word.length > 1) this.short(word.slice(1));
      else this.operands.push(word);
    }
  }

  private takes_value(letter: string): boolean {
    return this.table.short.includes(`${letter}:`);
  }

  private long(word: string): void {
    const equals = word.indexOf("=");
    const name = equals < 0 ? word : word.slice(0, equals);
    const letter = Object.hasOwn(this.table.long, name) ? this.table.long[name] : undefined;
    if (letter === undefined) this.complaint = `unrecognized option '--${name}'`;
    else if (!this.takes_value(letter)) {
      if (equals >= 0) this.complaint = `option '--${name}' doesn't allow an argument`;
      this.options.set(letter, "");
    } else this.set_value(letter, equals < 0 ? this.argv[this.at++] : word.slice(equals + 1), `option '--${name}'`);
  }

  private short(letters: string): void {
    for (let i = 0; i < letters.length; i++) {
      const letter = letters[i];
      if (letter === ":" || !this.table.short.includes(letter)) {
        this.complaint = `invalid option -- '${letter}'`;
        return;
      }
      if (this.takes_value(letter)) {
        const rest = letters.slice(i + 1);
        this.set_value(letter, rest === "" ? this.argv[this.at++] : rest, `option -- '${letter}'`);
        return;
      }
      this.options.set(letter, "");
    }
  }

  private set_value(letter: string, value: string | undefined, what: string): void {
    if (value === undefined) this.complaint = `${what} requires an argument`;
    else this.options.set(letter, value);
  }
}

/** Reads a command line; operands and options may be mixed. */
export function getopt(argv: readonly string[], table: option_table): parsed_options {
  const reader = new option_reader(argv, table);
  reader.read();
  return reader;
}
