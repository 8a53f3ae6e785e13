/**
 * The 2-level interface to event channels (Linux `drivers/xen/events/events_2l.c`).
 *
 *   vcpu_info.evtchn_upcall_pending <- vcpu_info.evtchn_pending_sel, a bit per 64 ports <- shared_info.evtchn_pending, a bit per port
 *
 * The hypervisor sets bits in the order right to left, and skips ports that are masked; we clear them left to right. So no event is lost:
 * one that comes while we look sets the bits to its left again. Both sides write these words at any time, hence the locked accesses.
 */
import {
  EVTCHN_2L_NR_CHANNELS,
  EVTCHN_BIND_VCPU_PORT,
  EVTCHN_BIND_VCPU_VCPU,
  EVTCHNOP_bind_vcpu,
  EVTCHNOP_unmask,
} from "../../../hal/abi/event_channel";
import {
  SHARED_INFO_EVTCHN_MASK,
  SHARED_INFO_EVTCHN_PENDING,
  SHARED_INFO_VCPU_INFO,
  VCPU_INFO_EVTCHN_PENDING_SEL,
  VCPU_INFO_EVTCHN_UPCALL_PENDING,
  VCPU_INFO_SIZE,
} from "../../../hal/abi/xen";
import { page_clear_bits32, page_set_bits32, page_xchg32 } from "../../../hal/guest/atomic";
import { page_map_own, page_read32, page_read8, page_write8, type shared_page } from "../../../hal/guest/page";
import { local_irq_restore, local_irq_save } from "xenolith/linux/interrupt";
import { nr_cpu_ids, smp_processor_id } from "xenolith/linux/smp";
import type { evtchn_port_t } from "xenolith/xen/events";
import {
  HYPERVISOR_event_channel_op,
  hypercall_paddr,
  hypercall_slot_get,
  hypercall_slot_put,
  hypercall_words,
} from "../hypercall";

/** The domain builder puts shared_info there. */
const SHARED_INFO_PFN = 1;
const PENDING = SHARED_INFO_EVTCHN_PENDING / 4;
const MASK = SHARED_INFO_EVTCHN_MASK / 4;
const PORT_WORDS = EVTCHN_2L_NR_CHANNELS / 32;

const shared_info: shared_page = { mfn: -1, words: null, bytes: null, gref: -1 };
/** For each vCPU, the ports that are bound to it. */
let cpu_evtchn_mask: Uint32Array[] = [];
/** For each vCPU, the port at which the next scan begins: the one after the last that was served. */
let next_port: number[] = [];

function vcpu_word(cpu: number, field: number): number {
  return (SHARED_INFO_VCPU_INFO + cpu * VCPU_INFO_SIZE + field) >>> 2;
}

/** Opens the window on shared_info and masks every port. */
export function evtchn_2l_init(): void {
  page_map_own(shared_info, SHARED_INFO_PFN);
  cpu_evtchn_mask = Array.from({ length: nr_cpu_ids() }, () => new Uint32Array(PORT_WORDS));
  next_port = cpu_evtchn_mask.map(() => 0);
  evtchn_2l_mask_all();
}

export function evtchn_2l_mask_all(): void {
  for (let i = 0; i < PORT_WORDS; i++) page_xchg32(shared_info, MASK + i, 0xffffffff);
}

/** After a resume nothing is bound and nothing pending. */
export function evtchn_2l_resume(): void {
  for (const mask of cpu_evtchn_mask) mask.fill(0);
  evtchn_2l_mask_all();
}

/** Has the hypervisor deliver the port to vCPU `cpu`; new ports go to vCPU 0 by themselves. */
export function evtchn_2l_bind_to_cpu(port: evtchn_port_t, cpu: number, old_cpu: number): void {
  cpu_evtchn_mask[old_cpu][port >>> 5] &= ~(1 << (port & 31));
  cpu_evtchn_mask[cpu][port >>> 5] |= 1 << (port & 31);
}

/** Forgets which vCPU the port was bound to. */
export function evtchn_2l_remove(port: evtchn_port_t, cpu: number): void {
  cpu_evtchn_mask[cpu][port >>> 5] &= ~(1 << (port & 31));
}

/** EVTCHNOP_bind_vcpu: 0 or a negative errno. */
export function evtchn_bind_vcpu(port: evtchn_port_t, cpu: number): number {
  const slot = hypercall_slot_get();
  const words = hypercall_words();
  words[slot + EVTCHN_BIND_VCPU_PORT / 4] = port;
  words[slot + EVTCHN_BIND_VCPU_VCPU / 4] = cpu;
  const result = HYPERVISOR_event_channel_op(EVTCHNOP_bind_vcpu, hypercall_paddr(slot));
  hypercall_slot_put(slot);
  return result;
}

export function clear_evtchn(port: evtchn_port_t): void {
  page_clear_bits32(shared_info, PENDING + (port >>> 5), 1 << (port & 31));
}

export function set_evtchn(port: evtchn_port_t): void {
  page_set_bits32(shared_info, PENDING + (port >>> 5), 1 << (port & 31));
}

export function test_evtchn(port: evtchn_port_t): boolean {
  return (page_read32(shared_info, PENDING + (port >>> 5)) & (1 << (port & 31))) !== 0;
}

export function mask_evtchn(port: evtchn_port_t): void {
  page_set_bits32(shared_info, MASK + (port >>> 5), 1 << (port & 31));
}

/** Unmasks; an event that came meanwhile is delivered, here by raising our own upcall, for another vCPU's port by the hypervisor. */
export function unmask_evtchn(port: evtchn_port_t, port_cpu: number): void {
  const flags = local_irq_save();
  const cpu = smp_processor_id();
  if (port_cpu === cpu) unmask_here(port, cpu);
  else unmask_elsewhere(port);
  local_irq_restore(flags);
}

function unmask_here(port: evtchn_port_t, cpu: number): void {
  page_clear_bits32(shared_info, MASK + (port >>> 5), 1 << (port & 31));
  if (!test_evtchn(port)) return;
  const group = port >>> 6;
  const word = vcpu_word(cpu, VCPU_INFO_EVTCHN_PENDING_SEL) + (group >>> 5);
  const before = page_set_bits32(shared_info, word, 1 << (group & 31));
  if ((before & (1 << (group & 31))) === 0) {
    page_write8(shared_info, SHARED_INFO_VCPU_INFO + cpu * VCPU_INFO_SIZE + VCPU_INFO_EVTCHN_UPCALL_PENDING, 1);
  }
}

function unmask_elsewhere(port: evtchn_port_t): void {
  const slot = hypercall_slot_get();
  hypercall_words()[slot] = port;
  HYPERVISOR_event_channel_op(EVTCHNOP_unmask, hypercall_paddr(slot));
  hypercall_slot_put(slot);
}

/** Clears the vCPU's upcall flag; the selector is looked at after it. */
export function evtchn_2l_clear_upcall(cpu: number): void {
  page_write8(shared_info, SHARED_INFO_VCPU_INFO + cpu * VCPU_INFO_SIZE + VCPU_INFO_EVTCHN_UPCALL_PENDING, 0);
}

export function evtchn_2l_upcall_pending(cpu: number): boolean {
  const offset = SHARED_INFO_VCPU_INFO + cpu * VCPU_INFO_SIZE + VCPU_INFO_EVTCHN_UPCALL_PENDING;
  return page_read8(shared_info, offset) !== 0;
}

/** Ports of word `word` that vCPU `cpu` has to serve. */
function active_evtchns(cpu: number, word: number): number {
  return page_read32(shared_info, PENDING + word) & ~page_read32(shared_info, MASK + word) & cpu_evtchn_mask[cpu][word];
}

/** The lowest set bit of the 64 in (low, high) that is not below `from`; -1 for none. */
function next_group(low: number, high: number, from: number): number {
  if (from < 32) {
    const bits = low & (-1 << from);
    if (bits !== 0) return 31 - Math.clz32(bits & -bits);
    from = 32;
  }
  if (from > 63) return -1;
  const bits = high & (-1 << (from - 32));
  return bits === 0 ? -1 : 63 - Math.clz32(bits & -bits);
}

type port_handler = (port: evtchn_port_t) => void;

/** Serves the active ports from `from` up to but not including `end`, which lie within 64. Looks again before each, for what handlers do. */
function serve_ports(cpu: number, from: number, end: number, handle: port_handler): void {
  let port = from;
  while (port < end) {
    const bits = active_evtchns(cpu, port >>> 5) & (-1 << (port & 31));
    if (bits === 0) {
      port = ((port >>> 5) + 1) << 5;
      continue;
    }
    port = (port & ~31) | (31 - Math.clz32(bits & -bits));
    if (port >= end) return;
    next_port[cpu] = (port + 1) & (EVTCHN_2L_NR_CHANNELS - 1);
    handle(port);
    port++;
  }
}

/**
 * Serves the one port that is pending, the usual case, without looking for the order. False: there are several, and nothing was done. What is
 * raised meanwhile sets the upcall flag again.
 */
function serve_single(cpu: number, groups: number, handle: port_handler): boolean {
  if ((groups & (groups - 1)) !== 0) return false;
  if (groups === 0) return true;
  const word = (31 - Math.clz32(groups)) << 1;
  const low = active_evtchns(cpu, word);
  const high = active_evtchns(cpu, word + 1);
  const bits = low | high;
  if ((low !== 0 && high !== 0) || (bits & (bits - 1)) !== 0) return false;
  if (bits === 0) return true;
  const port = ((low !== 0 ? word : word + 1) << 5) | (31 - Math.clz32(bits));
  next_port[cpu] = (port + 1) & (EVTCHN_2L_NR_CHANNELS - 1);
  handle(port);
  return true;
}

/**
 * Serves everything that is pending for the vCPU, in the order of the ports, beginning after the one that was served last: no port can keep
 * the others waiting by being raised again and again.
 */
export function evtchn_2l_handle_events(cpu: number, handle: port_handler): void {
  const selector = vcpu_word(cpu, VCPU_INFO_EVTCHN_PENDING_SEL);
  const low = page_xchg32(shared_info, selector, 0);
  const high = page_xchg32(shared_info, selector + 1, 0);
  if (high === 0 && serve_single(cpu, low, handle)) return;
  const start = next_port[cpu];
  const start_group = start >>> 6;
  for (let group = next_group(low, high, start_group); group >= 0; group = next_group(low, high, group + 1)) {
    serve_ports(cpu, group === start_group ? start : group << 6, (group + 1) << 6, handle);
  }
  for (let group = next_group(low, high, 0); group >= 0 && group < start_group; ) {
    serve_ports(cpu, group << 6, (group + 1) << 6, handle);
    group = next_group(low, high, group + 1);
  }
  if ((start & 63) !== 0 && next_group(low, high, start_group) === start_group) {
    serve_ports(cpu, start_group << 6, start, handle);
  }
}
