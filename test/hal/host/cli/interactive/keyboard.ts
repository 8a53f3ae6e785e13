/** Somebody at a keyboard who is no person: a script of inputs, each given when the one before has had its effect. */
import { createPulse } from "../../../../../hal/host/hypervisor/pulse";
import type { CommandThread } from "../../../../../hal/host/cli/io";
import { type Input, type InputMode, SHARED_BYTES } from "../../../../../hal/host/runner/protocol";

/** What is typed, and what the screen must have shown before. */
export interface Stroke {
  readonly after: string | RegExp;
  readonly input: string | Input;
}

export class ScriptedKeyboard implements CommandThread {
  readonly pulse = createPulse(new SharedArrayBuffer(SHARED_BYTES));
  readonly guestStackBytes = 256 << 10;
  readonly timeOrigin = 0;
  readonly modes: InputMode[] = [];
  private readonly strokes: Stroke[];
  private seen = 0;

  constructor(readonly stdinIsTerminal: boolean, strokes: readonly Stroke[], private readonly screen: () => string) {
    this.strokes = [...strokes];
  }

  /** Strokes that nobody has taken. */
  get left(): readonly Stroke[] {
    return this.strokes;
  }

  readInput(mode: InputMode): void {
    this.modes.push(mode);
  }

  get hasInput(): boolean {
    if (this.strokes.length === 0) return false;
    const { after } = this.strokes[0];
    const shown = this.screen().slice(this.seen);
    return typeof after === "string" ? shown.includes(after) : after.test(shown);
  }

  poll(): Input | null {
    if (!this.hasInput) return null;
    const { input } = this.strokes.shift() as Stroke;
    this.seen = this.screen().length;
    return typeof input === "string" ? { kind: "keys", bytes: Buffer.from(input) } : input;
  }

  /** Nobody waits in a test: a session that sleeps without input that is to come would sleep for ever. */
  wait(ms?: number): boolean {
    if (this.hasInput) return true;
    if (ms === undefined || ms === Infinity) {
      throw new Error(`waits for ever; the screen: ${JSON.stringify(this.screen().slice(this.seen))}`);
    }
    return false;
  }

  nameDomain(): void {
    // No watchdog looks.
  }

  setWatchdog(): void {
    // No watchdog looks.
  }
}
