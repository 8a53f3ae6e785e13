/** What a machine is made of, from its configuration: the engine with its memory, and the cost table. */
import type { Engine, EngineName } from "../engines/engine";
import { createQuickJSEngine } from "../engines/quickjs";
import { createV8Engine } from "../engines/v8";
import { errorEngine, errorMachineFile } from "../errors";
import { type CostTable, costTable } from "../hypervisor/costs";
import type { MachineConfig } from "./machine-file";

/** Frames beside the domains' RAM: control pages, and room for a few more domains' bookkeeping. */
const SPARE_FRAMES = 64;

/** The cost table of a configuration. Throws UserError. */
export function costsOf(config: MachineConfig): CostTable {
  const { preset, ...changes } = config.costs;
  try {
    return costTable(preset, changes as Record<string, number>);
  } catch (error) {
    throw errorMachineFile("(configuration)", "costs", (error as Error).message);
  }
}

/** An engine with room for all domains of a configuration. Throws UserError; RangeError when the memory is not to be had. */
export async function createEngine(name: EngineName, config: MachineConfig): Promise<Engine> {
  const frames = config.domains.reduce((sum, { memoryBytes }) => sum + memoryBytes / 4096 + 1, SPARE_FRAMES);
  if (name === "v8") return createV8Engine(frames);
  if (name !== "quickjs") throw errorEngine(name);
  const heaps = config.domains.reduce((sum, { heapBytes }) => sum + heapBytes, 0);
  return createQuickJSEngine(frames, heaps);
}
