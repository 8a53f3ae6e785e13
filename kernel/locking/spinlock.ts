/**
 * Spinlocks. A domain runs one vCPU at a time and nobody else while it holds a spinlock, so there is nothing to spin on: a lock that is found taken
 * is taken by ourselves. What is left are the rules, and they are checked: released before the return to the scheduler, by who took it, not taken in
 * an interrupt if it is also taken with interrupts on, always in the same order.
 *
 * CONTROL_SPINLOCKS tells the hypervisor that no other vCPU of this domain may come in between.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { panic } from "xenolith/linux/kernel";
import type { spinlock_t } from "xenolith/linux/spinlock";
import { CONTROL_SPINLOCKS } from "../../hal/abi/control";
import { control } from "../../hal/guest/hal";
import { irqs_off, irqs_on, local_bh_enable } from "../irq/softirq";
import { type cpu_info, HARDIRQ_MASK, SOFTIRQ_OFFSET, this_cpu } from "../sched/cpu";
import { lock_acquire, lockdep_report } from "./lockdep";

function name_of(lock: spinlock_t): string {
  return lock.name === "" ? "(unnamed)" : lock.name;
}

/** Debug builds: the rules that can be checked when a lock is taken. */
function check_acquire(cpu: cpu_info, lock: spinlock_t): void {
  const in_irq = (cpu.preempt_count & HARDIRQ_MASK) !== 0;
  const was_inconsistent = lock.used_in_irq && lock.used_with_irqs_on;
  if (in_irq) lock.used_in_irq = true;
  else if (cpu.irqs_off === 0) lock.used_with_irqs_on = true;
  if (!was_inconsistent && lock.used_in_irq && lock.used_with_irqs_on) {
    lockdep_report(
      "inconsistent lock state",
      `inconsistent {HARDIRQ-ON-W} -> {IN-HARDIRQ-W} usage of ${name_of(
        lock,
      )}: taken in an interrupt, and with interrupts on`,
    );
  }
  lock_acquire(lock, cpu.held_locks);
  cpu.held_locks.push(lock);
}

function check_release(cpu: cpu_info, lock: spinlock_t): void {
  const at = cpu.held_locks.lastIndexOf(lock);
  if (at < 0) panic("BUG: spinlock wrong CPU on CPU#%d: %s", cpu.id, name_of(lock));
  cpu.held_locks.splice(at, 1);
}

function recursion(cpu: cpu_info, lock: spinlock_t): never {
  return panic("BUG: spinlock recursion on CPU#%d, %s/%d: %s", cpu.id, cpu.curr.comm, cpu.curr.pid, name_of(lock));
}

function already_unlocked(cpu: cpu_info, lock: spinlock_t): never {
  return panic(
    "BUG: spinlock already unlocked on CPU#%d, %s/%d: %s",
    cpu.id,
    cpu.curr.comm,
    cpu.curr.pid,
    name_of(lock),
  );
}

function take(cpu: cpu_info, lock: spinlock_t): void {
  if (lock.locked) recursion(cpu, lock);
  if (__DEBUG__) check_acquire(cpu, lock);
  lock.locked = true;
  cpu.preempt_count++;
  control[CONTROL_SPINLOCKS]++;
}

function release(cpu: cpu_info, lock: spinlock_t): void {
  if (!lock.locked) already_unlocked(cpu, lock);
  if (__DEBUG__) check_release(cpu, lock);
  lock.locked = false;
  cpu.preempt_count--;
  control[CONTROL_SPINLOCKS]--;
}

export function spin_lock(lock: spinlock_t): void {
  take(this_cpu, lock);
}
EXPORT_SYMBOL(spin_lock);

export function spin_unlock(lock: spinlock_t): void {
  release(this_cpu, lock);
}
EXPORT_SYMBOL(spin_unlock);

export function spin_trylock(lock: spinlock_t): boolean {
  if (lock.locked) return false;
  take(this_cpu, lock);
  return true;
}
EXPORT_SYMBOL(spin_trylock);

/** Taken several times per request: `take` is written out. */
export function spin_lock_irqsave(lock: spinlock_t): number {
  const cpu = this_cpu;
  const flags = cpu.irqs_off;
  if (flags === 0) irqs_off(cpu);
  if (lock.locked) recursion(cpu, lock);
  if (__DEBUG__) check_acquire(cpu, lock);
  lock.locked = true;
  cpu.preempt_count++;
  control[CONTROL_SPINLOCKS]++;
  return flags;
}
EXPORT_SYMBOL(spin_lock_irqsave);

/** As `spin_lock_irqsave`: `release` is written out. */
export function spin_unlock_irqrestore(lock: spinlock_t, flags: number): void {
  const cpu = this_cpu;
  if (!lock.locked) already_unlocked(cpu, lock);
  if (__DEBUG__) check_release(cpu, lock);
  lock.locked = false;
  cpu.preempt_count--;
  control[CONTROL_SPINLOCKS]--;
  if (flags === 0) irqs_on(cpu);
}
EXPORT_SYMBOL(spin_unlock_irqrestore);

export function spin_lock_irq(lock: spinlock_t): void {
  const cpu = this_cpu;
  if (cpu.irqs_off === 0) irqs_off(cpu);
  take(cpu, lock);
}
EXPORT_SYMBOL(spin_lock_irq);

export function spin_unlock_irq(lock: spinlock_t): void {
  const cpu = this_cpu;
  release(cpu, lock);
  irqs_on(cpu);
}
EXPORT_SYMBOL(spin_unlock_irq);

export function spin_lock_bh(lock: spinlock_t): void {
  this_cpu.preempt_count += SOFTIRQ_OFFSET;
  take(this_cpu, lock);
}
EXPORT_SYMBOL(spin_lock_bh);

export function spin_unlock_bh(lock: spinlock_t): void {
  release(this_cpu, lock);
  local_bh_enable();
}
EXPORT_SYMBOL(spin_unlock_bh);

export function lockdep_assert_held(lock: { locked?: boolean; owner?: unknown }): void {
  if (!__DEBUG__) return;
  const held = lock.locked === undefined ? lock.owner === this_cpu.curr : lock.locked;
  if (!held) lockdep_report("lock is not held", "lockdep_assert_held failed");
}
EXPORT_SYMBOL(lockdep_assert_held);
