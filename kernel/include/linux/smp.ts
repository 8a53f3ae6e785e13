/** `<linux/smp.h>` and `<linux/cpumask.h>`, as far as needed. */

export declare function smp_processor_id(): number;
export declare function raw_smp_processor_id(): number;
/** CPUs of this domain; all are online from the start. */
export declare function num_online_cpus(): number;
export declare function num_possible_cpus(): number;
export declare function nr_cpu_ids(): number;

/**
 * The event channel layer registers how another vCPU is told that it has something to run (a reschedule IPI). Until then all tasks run on CPU 0.
 * `send` is called with the target CPU and must be plain.
 */
export declare function set_smp_send_reschedule(send: (cpu: number) => void): void;
/** The handler of the reschedule IPI: waking the vCPU up is all it is for. */
export declare function scheduler_ipi(irq: number, dev_id: unknown): number;
