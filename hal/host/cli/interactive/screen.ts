/**
 * What a person at the terminal sees of the domains: one of them at a time, with what the others wrote meanwhile kept until it is their turn.
 */
import { StringDecoder } from "node:string_decoder";
import type { Output } from "../io";
import { MarkFilter } from "./marks";

/** Characters of a domain's output that are kept while another one is shown. */
const BACKLOG_MAX = 16384;

interface Page {
  /** Bytes of a character may come in two pieces. */
  readonly decoder: StringDecoder;
  readonly marks: MarkFilter;
  /** Written while another domain was shown. */
  backlog: string;
  /** The line that the cursor is in. */
  line: string;
}

/** What `Screen.save` gives. */
export type ScreenState = readonly {
  readonly domain: string;
  readonly backlog: string;
  readonly line: string;
  readonly atPrompt: boolean;
}[];

function newPage(): Page {
  return { decoder: new StringDecoder("utf8"), marks: new MarkFilter(), backlog: "", line: "" };
}

export class Screen {
  private readonly pages = new Map<string, Page>();
  private shown: string | null = null;

  constructor(private readonly terminal: Output) {}

  /** A domain has written. */
  write(domain: string, bytes: Uint8Array): void {
    const page = this.page(domain);
    const text = page.marks.take(page.decoder.write(Buffer.from(bytes)));
    page.line = (page.line + text).split("\n").at(-1) as string;
    if (domain === this.shown) this.terminal.write(text);
    else page.backlog = (page.backlog + text).slice(-BACKLOG_MAX);
  }

  /** What is on the screen, for a snapshot of the machine; plain data. */
  save(): ScreenState {
    return [...this.pages].map(([domain, { backlog, line, marks }]) => ({
      domain,
      backlog,
      line,
      atPrompt: marks.atPrompt,
    }));
  }

  /** Goes back to what was on the screen then. */
  restore(state: ScreenState): void {
    this.pages.clear();
    for (const { domain, backlog, line, atPrompt } of state) {
      const page = this.page(domain);
      page.backlog = backlog;
      page.line = line;
      page.marks.atPrompt = atPrompt;
    }
  }

  /** Whether the domain's shell has shown its prompt, and no command runs in the foreground. */
  atPrompt(domain: string): boolean {
    return this.page(domain).marks.atPrompt;
  }

  /** Shows a domain: what it wrote meanwhile, or the line that it was in. */
  show(domain: string): void {
    this.shown = domain;
    const page = this.page(domain);
    this.terminal.write(page.backlog === "" ? page.line : page.backlog);
    page.backlog = "";
  }

  /** Says something that is not a domain's, on a line of its own, and goes back to the line that was shown. */
  say(text: string): void {
    const { dim } = this.terminal.colours;
    const line = this.shown === null ? "" : this.page(this.shown).line;
    const begin = line === "" ? "" : "\r\u001b[K";
    this.terminal.write(`${begin}${dim(text.replaceAll("\n", "\r\n"))}\r\n${line}`);
  }

  private page(domain: string): Page {
    const page = this.pages.get(domain) ?? newPage();
    this.pages.set(domain, page);
    return page;
  }
}
