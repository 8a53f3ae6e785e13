/** When each phase of a start was over, by the host's clock. For people and for the `host` part of documents; nothing in a machine sees it. */
import { listTable } from "./table";

interface Mark {
  readonly name: string;
  /** Milliseconds since the process began. */
  readonly at: number;
}

/** One line of the chart. */
export interface Phase {
  readonly phase: string;
  /** Milliseconds since the process began. */
  readonly ms: number;
  /** Milliseconds since the phase before. */
  readonly deltaMs: number;
}

export class Bootchart {
  private readonly begin: number;
  private readonly marks: Mark[] = [];

  /** `timeOrigin`: when the process began, milliseconds of the epoch; a worker has an origin of its own. */
  constructor(private readonly timeOrigin = performance.timeOrigin) {
    this.begin = this.now();
  }

  /** Ends a phase. */
  mark(name: string): void {
    this.marks.push({ name, at: this.now() });
  }

  /** Milliseconds from the end of one phase (null: from the beginning of the program) to the end of another. */
  between(from: string | null, to: string): number {
    const start = from === null ? this.begin : this.at(from);
    return tenths(this.at(to) - start);
  }

  /** All phases so far; the first one is Node's own start. */
  phases(): Phase[] {
    const marks = [{ name: "node started", at: this.begin }, ...this.marks];
    return marks.map(({ name, at }, index) => ({
      phase: name,
      ms: tenths(at),
      deltaMs: tenths(at - (index === 0 ? 0 : marks[index - 1].at)),
    }));
  }

  /** The chart as a table: milliseconds since the process began, and since the line before. */
  table(): string {
    return listTable(
      ["phase", "ms", "+ms"],
      this.phases().map(({ phase, ms, deltaMs }) => [phase, right(ms), right(deltaMs)]),
    );
  }

  private now(): number {
    return performance.timeOrigin - this.timeOrigin + performance.now();
  }

  private at(name: string): number {
    return this.marks.find((mark) => mark.name === name)?.at ?? this.begin;
  }
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

function right(ms: number): string {
  return ms.toFixed(1).padStart(8);
}
