/** A process that lends its compilers: it answers the requests of `processes.ts`, one message each, and ends with the one who started it. */
import type { Reply, Request } from "./processes";
import { localTools } from "./tools";

const tools = localTools() as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;

function reply(message: Reply): void {
  process.send?.(message);
}

process.on("message", ({ id, name, args }: Request) => {
  tools[name](...args).then(
    (value) => reply({ id, value }),
    (error: Error & { readonly problems?: readonly string[] }) =>
      reply({ id, error: error.message, problems: error.problems ?? null }),
  );
});
