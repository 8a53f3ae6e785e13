/**
 * The control page: what the hypervisor and one domain's kernel tell each other outside of Xen's own interface.
 *
 * One page per domain, in neither domain's RAM nor grantable. The hypervisor writes it before each entry and reads it after; the guest reads
 * the clock, charges time to it and leaves the reason for its return. The hypervisor trusts nothing in it: a clock that is not a finite
 * number, or that went back, kills the domain.
 *
 * Words are 32 bits; the doubles are the same page seen as 64-bit floats. Block v (CONTROL_VCPU_WORDS words) belongs to vCPU v.
 */

/** vCPUs of one domain, at most. */
export const CONTROL_VCPUS_MAX = 8;
/** Words in one vCPU's block. */
export const CONTROL_VCPU_WORDS = 64;
/** Doubles in one vCPU's block. */
export const CONTROL_VCPU_DOUBLES = 32;

// Doubles, relative to the vCPU's block.
/** This vCPU's virtual clock, nanoseconds since the machine was made. The guest adds what it charges itself; hypercalls add their cost. */
export const CONTROL_CLOCK = 0;
/** The slice ends at the first return to the guest's scheduler at or after this time. A hypercall that wakes somebody may lower it. */
export const CONTROL_SLICE_END = 1;

// Words, relative to the vCPU's block.
/** Why the last entry returned: CONTROL_RAN_BLOCKED or CONTROL_RAN_YIELDED. Written by the guest. */
export const CONTROL_RAN = 8;
/** The second result of a hypercall that has two. Written by the hypervisor. */
export const CONTROL_RESULT = 9;

/** What the last hypercall returned, int32. Written by the engine: a word here costs less than a value handed over. */
export const CONTROL_RETURN = 10;
/** Cleared before an entry and set to 1 by the engine's glue when the kernel returned: still 0 means that it threw. */
export const CONTROL_LEFT = 11;

/** The vCPU has nothing to run and waits for an event. */
export const CONTROL_RAN_BLOCKED = 0;
/** The slice ended with work left. */
export const CONTROL_RAN_YIELDED = 1;

// Words of the whole domain, absolute.
/** The vCPU that is being entered. Written by the hypervisor before each entry. */
export const CONTROL_VCPU = 512;
/** Not 0: every shared access of a debug build makes a `__HYPERVISOR_arch_6` (preemption point) hypercall. Written by the hypervisor. */
export const CONTROL_PREEMPT = 513;
/** How many spinlocks the domain holds; another vCPU of it is entered only at 0. Written by the guest. */
export const CONTROL_SPINLOCKS = 514;
/** vCPUs of this domain. Written once by the hypervisor. */
export const CONTROL_VCPU_COUNT = 515;
/** Changes whenever frames that this domain once mapped are about to be reused: cached views of foreign frames are then stale. Written by the hypervisor. */
export const CONTROL_ALIAS_EPOCH = 516;
/** First of CONTROL_COST_COUNT words: what the guest charges itself for each COST_*, nanoseconds. Written once by the hypervisor. */
export const CONTROL_COSTS = 528;

/** What a guest charges its own clock for; the values come from the machine's cost table. */
export const COST_CONTEXT_SWITCH = 0;
export const COST_IRQ_ENTRY = 1;
export const COST_CPU_RELAX = 2;
export const COST_CLOCK_READ = 3;
export const COST_PAGE_COPY = 4;
export const COST_BIO_SUBMIT = 5;
export const COST_REQUEST_DISPATCH = 6;
export const COST_REQUEST_COMPLETE = 7;
export const COST_SYSCALL = 8;
export const CONTROL_COST_COUNT = 16;
