/** `<linux/percpu.h>`: one value per CPU. */
import { num_possible_cpus, smp_processor_id } from "./smp";

/** One value for each CPU, by number. */
export type percpu<T> = T[];

/** Makes one value for each CPU. */
export function alloc_percpu<T>(make: (cpu: number) => T): percpu<T> {
  return Array.from({ length: num_possible_cpus() }, (_, cpu) => make(cpu));
}

export function free_percpu<T>(pcp: percpu<T>): void {
  pcp.length = 0;
}

/** The value of this CPU. */
export function this_cpu_ptr<T>(pcp: percpu<T>): T {
  return pcp[smp_processor_id()];
}

export function per_cpu_ptr<T>(pcp: percpu<T>, cpu: number): T {
  return pcp[cpu];
}
