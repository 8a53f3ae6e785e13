/** When each phase of a start was over, by the host's clock. For people and for the `host` part of documents; nothing in a machine sees it. */
import Table from "cli-table3";

interface Mark {
  readonly name: string;
  /** Milliseconds since the process began. */
  readonly at: number;
}

export class Bootchart {
  private readonly begin = performance.now();
  private readonly marks: Mark[] = [];

  /** Ends a phase. */
  mark(name: string): void {
    this.marks.push({ name, at: performance.now() });
  }

  /** Milliseconds from the end of one phase (or the beginning of the program) to the end of another. */
  between(from: string | null, to: string): number {
    const start = from === null ? this.begin : this.at(from);
    return Math.round((this.at(to) - start) * 10) / 10;
  }

  print(stream: NodeJS.WriteStream): void {
    const table = new Table({ head: ["phase", "ms", "since the one before"], style: { head: [] } });
    let last = this.begin;
    table.push(["node started", this.begin.toFixed(1), this.begin.toFixed(1)]);
    for (const { name, at } of this.marks) {
      table.push([name, at.toFixed(1), (at - last).toFixed(1)]);
      last = at;
    }
    stream.write(`${table.toString()}\n`);
  }

  private at(name: string): number {
    return this.marks.find((mark) => mark.name === name)?.at ?? this.begin;
  }
}
