/**
 * The compilers in processes of their own. A TypeScript compiler, a bundler and a minifier with the kernel's syntax tree in each take 400 MiB
 * together; apart, none takes half of that, and they work at the same time.
 *
 *   rollup (this process) ──transpile, inline, widen──► TypeScript
 *                         ──minify, combine maps──────► terser
 */
import { type ChildProcess, fork } from "node:child_process";
import { BuildError } from "./build-error";
import type { Tools } from "./tools";

/** One call of a tool. */
export interface Request {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

/** What became of it. */
export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string; readonly problems: readonly string[] | null };

/** V8's options that keep a process small: it collects when its heap is a little larger than what is alive. */
export const SMALL_HEAP = ["--max-semi-space-size=1", "--heap-growing-percent=10"];

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** One process, started with the first call. */
class Service {
  private child: ChildProcess | null = null;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 0;

  constructor(private readonly file: string) {}

  call(name: string, args: readonly unknown[]): Promise<unknown> {
    const child = (this.child ??= this.start());
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      child.send({ id, name, args } satisfies Request);
    });
  }

  stop(): void {
    this.child?.disconnect();
    this.child = null;
  }

  private start(): ChildProcess {
    const child = fork(this.file, { execArgv: SMALL_HEAP, serialization: "advanced" });
    child.on("message", (reply: Reply) => this.take(reply));
    child.on("error", (error) => this.fail(error));
    child.on("exit", (code, signal) => this.fail(new Error(`a compiler's process ended early (${signal ?? code})`)));
    return child;
  }

  private take(reply: Reply): void {
    const waiting = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if ("value" in reply) waiting?.resolve(reply.value);
    else waiting?.reject(reply.problems === null ? new Error(reply.error) : new BuildError(reply.problems));
  }

  private fail(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

/** Tools in processes that run `file`, which is the compiled `service.ts`; `stop` ends them. */
export function processTools(file: string): Tools & { stop(): void } {
  const [typescript, terser] = [new Service(file), new Service(file)];
  const tool =
    <Name extends keyof Tools>(service: Service, name: Name) =>
    (...args: Parameters<Tools[Name]>) =>
      service.call(name, args) as ReturnType<Tools[Name]>;
  return {
    transpile: tool(typescript, "transpile"),
    declaredSymbols: tool(typescript, "declaredSymbols"),
    moduleInfo: tool(typescript, "moduleInfo"),
    inlineCalls: tool(typescript, "inlineCalls"),
    minify: tool(terser, "minify"),
    widenScopes: tool(typescript, "widenScopes"),
    combineMaps: tool(terser, "combineMaps"),
    stop() {
      typescript.stop();
      terser.stop();
    },
  };
}
