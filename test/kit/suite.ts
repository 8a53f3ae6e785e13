/**
 * Suites of whole machines: the same tests on every engine, with what every one of them owes: the ledger is what it was, no kernel has complained,
 * and nothing of the machine is left afterwards.
 *
 *   onEveryEngine("my driver", ({ boot, engine }) => {
 *     it("reads", async () => {
 *       const machine = await boot();
 *       …
 *     });
 *   });
 *
 * A failed test prints one line that replays it.
 */
import { type TestContext, afterAll, afterEach, beforeAll, beforeEach, describe } from "vitest";
import { ENGINE_NAMES, type EngineName, type Machine } from "xenolith";
import { type BootOptions, bootMachine } from "./boot";
import { type DiskFile, makeDiskFile } from "./disks";
import { type MachineLedger, checkLedger, takeLedger } from "./ledger";
import { complaints } from "./log";
import { replayLine } from "./replay";

/** What a suite's tests work with. */
export interface Suite {
  readonly engine: EngineName;
  /** Boots a machine for the running test. It is checked and disposed of when the test has ended. */
  boot(options?: BootOptions): Promise<Machine>;
  /**
   * Boots one machine before the tests and gives it to each of them: cheaper, for tests that leave it as they found it. It is checked after
   * every test.
   */
  shared(options?: BootOptions): () => Machine;
  /** Takes over a machine that the test made itself: it is disposed of when the test has ended. */
  adopt(machine: Machine): Machine;
  /** Makes a file that is removed when the test has ended. */
  diskFile(bytes: number, fill?: (offset: number) => number): DiskFile;
  /** The running test leaves the machine otherwise than it was booted (a disk more, a domain less): takes the ledger anew. */
  expectChange(machine: Machine): void;
  /** The running test makes kernels complain: nobody looks. */
  expectComplaints(machine: Machine): void;
}

interface Watched {
  readonly machine: Machine;
  readonly options: BootOptions;
  ledger: MachineLedger | null;
  mayComplain: boolean;
}

/** Describes the tests once for every engine. */
export function onEveryEngine(name: string, body: (suite: Suite) => void): void {
  for (const engine of ENGINE_NAMES) onEngine(engine, name, body);
}

/** Describes the tests for one engine, where the other one cannot do what is tested. */
export function onEngine(engine: EngineName, name: string, body: (suite: Suite) => void): void {
  describe(`${engine}: ${name}`, () => {
    const watch = new Watch(engine);
    beforeEach((context) => watch.begin(context));
    afterEach(() => watch.end());
    afterAll(() => watch.endAll());
    body(suiteOf(watch));
  });
}

/** The suite's face: functions that can be taken apart. */
function suiteOf(watch: Watch): Suite {
  return {
    engine: watch.engine,
    boot: (options) => watch.boot(options),
    shared: (options) => watch.shared(options),
    adopt: (machine) => watch.adopt(machine),
    diskFile: (bytes, fill) => watch.diskFile(bytes, fill),
    expectChange: (machine) => watch.expectChange(machine),
    expectComplaints: (machine) => watch.expectComplaints(machine),
  };
}

/** The machines and files of one suite. */
class Watch {
  private readonly own: Watched[] = [];
  private readonly common: Watched[] = [];
  private readonly files: DiskFile[] = [];
  private context: TestContext | null = null;
  /** The first machine of the test that ended last, for its replay line. */
  private ended: Watched | undefined;

  constructor(readonly engine: EngineName) {}

  async boot(options: BootOptions = {}): Promise<Machine> {
    const machine = await bootMachine({ engine: this.engine, ...options });
    this.own.push({ machine, options, ledger: takeLedger(machine), mayComplain: false });
    return machine;
  }

  shared(options: BootOptions = {}): () => Machine {
    let watched: Watched | null = null;
    beforeAll(async () => {
      const machine = await bootMachine({ engine: this.engine, ...options });
      watched = { machine, options, ledger: takeLedger(machine), mayComplain: false };
      this.common.push(watched);
    });
    return () => {
      if (watched === null) throw new Error("the shared machine boots before the first test, not earlier");
      return watched.machine;
    };
  }

  adopt(machine: Machine): Machine {
    this.own.push({ machine, options: {}, ledger: null, mayComplain: false });
    return machine;
  }

  diskFile(bytes: number, fill?: (offset: number) => number): DiskFile {
    const file = makeDiskFile(bytes, fill);
    this.files.push(file);
    return file;
  }

  expectChange(machine: Machine): void {
    this.find(machine).ledger = takeLedger(machine);
  }

  expectComplaints(machine: Machine): void {
    this.find(machine).mayComplain = true;
  }

  begin(context: TestContext): void {
    this.context = context;
    this.ended = undefined;
    context.onTestFailed(() => {
      console.error(replayLine(context.task, this.engine, this.ended));
    });
  }

  /** Checks every machine, whatever becomes of the first; the test's own are disposed of. */
  end(): void {
    const failed = this.context?.task.result?.state === "fail";
    const problems = failed ? [] : [...this.own, ...this.common].flatMap(problemsOf);
    this.ended = this.own[0] ?? this.common[0];
    for (const { machine } of this.own.splice(0)) machine.dispose();
    for (const file of this.files.splice(0)) file.remove();
    if (problems.length > 0) throw new Error(problems.join("\n"));
  }

  endAll(): void {
    for (const { machine } of this.common.splice(0)) machine.dispose();
  }

  private find(machine: Machine): Watched {
    const found = [...this.own, ...this.common].find((watched) => watched.machine === machine);
    if (found === undefined) throw new Error("this suite did not boot that machine");
    return found;
  }
}

/** What is wrong with a machine after a test. */
function problemsOf({ machine, ledger, mayComplain }: Watched): string[] {
  const problems = mayComplain ? [] : complaints(machine).map(({ domain, text }) => `${domain} complained: ${text}`);
  if (ledger === null) return problems;
  try {
    checkLedger(machine, ledger);
  } catch (error) {
    problems.push((error as Error).message);
  }
  return problems;
}
