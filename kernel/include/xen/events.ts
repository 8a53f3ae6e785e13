/**
 * Event channels as interrupts (Linux `include/xen/events.h`).
 *
 *   bind_*  ->  an irq number  ->  the handler runs in the upcall of the vCPU that the event is bound to  ->  unbind_from_irqhandler
 *
 * "lateeoi" events stay masked from delivery until `xen_irq_lateeoi`, which the handler or its thread calls exactly once per interrupt;
 * interrupts without work are reported with XEN_EOI_FLAG_SPURIOUS and throttle themselves. None of the functions sleeps.
 */
import type { irq_handler_t, irqreturn_t } from "xenolith/linux/interrupt";
import type { Ptr } from "xenolith/linux/types";
import type { evtchn_port_t } from "./interface/event_channel";
import type { xenbus_device } from "./xenbus";

export type { evtchn_port_t };

export const XEN_EOI_FLAG_SPURIOUS = 1;

/** Whether a port number can be a channel: 0 never is. */
export function VALID_EVTCHN(port: evtchn_port_t): boolean {
  return port !== 0;
}

/** Ports of the 2-level interface. */
export declare function xen_evtchn_nr_channels(): number;

/** The irq of a port, made if need be: the irq or a negative errno. */
export declare function bind_evtchn_to_irq(evtchn: evtchn_port_t): number;
export declare function bind_evtchn_to_irq_lateeoi(evtchn: evtchn_port_t): number;
/** Binds a handler to a port of ours: the irq or a negative errno. Unmasked during the handler. */
export declare function bind_evtchn_to_irqhandler(
  evtchn: evtchn_port_t,
  handler: irq_handler_t,
  irqflags: number,
  devname: string,
  dev_id: unknown,
): number;
/** The same with late EOI. */
export declare function bind_evtchn_to_irqhandler_lateeoi(
  evtchn: evtchn_port_t,
  handler: irq_handler_t,
  irqflags: number,
  devname: string,
  dev_id: unknown,
): number;
export declare function bind_virq_to_irq(virq: number, cpu: number, percpu: boolean): number;
/** Binds a handler to a virtual irq (VIRQ_*) of vCPU `cpu`: the irq or a negative errno. */
export declare function bind_virq_to_irqhandler(
  virq: number,
  cpu: number,
  handler: irq_handler_t,
  irqflags: number,
  devname: string,
  dev_id: unknown,
): number;
/** Binds a handler to inter-processor interrupt `ipi` (a small number of our own) of vCPU `cpu`: the irq or a negative errno. */
export declare function bind_ipi_to_irqhandler(
  ipi: number,
  cpu: number,
  handler: irq_handler_t,
  irqflags: number,
  devname: string,
  dev_id: unknown,
): number;
/** Connects to port `remote_port` of the device's other end, late EOI: the irq or a negative errno. */
export declare function bind_interdomain_evtchn_to_irq_lateeoi(dev: xenbus_device, remote_port: evtchn_port_t): number;
/** The same with a handler. The device counts its events. */
export declare function bind_interdomain_evtchn_to_irqhandler_lateeoi(
  dev: xenbus_device,
  remote_port: evtchn_port_t,
  handler: irq_handler_t,
  irqflags: number,
  devname: string,
  dev_id: unknown,
): number;
/** Frees the irq and closes its port. May be called from the handler of another irq. */
export declare function unbind_from_irqhandler(irq: number, dev_id: unknown): void;

/** End of a late-EOI interrupt. `eoi_flags`: 0 or XEN_EOI_FLAG_SPURIOUS. May be called from any context. */
export declare function xen_irq_lateeoi(irq: number, eoi_flags: number): void;

/** Moves the irq's channel to vCPU `cpu`: 0 or -EINVAL. */
export declare function irq_set_affinity_evtchn(irq: number, cpu: number): number;
/** Gives the irq a new port (after a resume). */
export declare function rebind_evtchn_irq(evtchn: evtchn_port_t, irq: number): void;

/** Notifies the other end; a port that is not connected swallows it. */
export declare function notify_remote_via_evtchn(port: evtchn_port_t): void;
/** Notifies the other end of the irq's channel; nothing happens for an irq without one. */
export declare function notify_remote_via_irq(irq: number): void;
/** Raises inter-processor interrupt `vector` on vCPU `cpu`. */
export declare function xen_send_IPI_one(cpu: number, vector: number): void;

/** The irq's port, 0 when it has none. */
export declare function evtchn_from_irq(irq: number): evtchn_port_t;
/** The port's irq, -1 when it has none. */
export declare function irq_from_evtchn(evtchn: evtchn_port_t): number;
export declare function irq_from_virq(cpu: number, virq: number): number;
/** Allocates a port that only `remote_domid` may bind: 0 or a negative errno. */
export declare function xen_evtchn_alloc_unbound(remote_domid: number, port: Ptr<evtchn_port_t>): number;
/** Closes a port that has no irq: 0 or a negative errno. */
export declare function xen_evtchn_close(port: evtchn_port_t): number;

export declare function xen_set_irq_pending(irq: number): void;
export declare function xen_clear_irq_pending(irq: number): void;
export declare function xen_test_irq_pending(irq: number): boolean;

/** Prepares the event channel layer. Called once by the architecture's init_IRQ, before any bind. */
export declare function xen_init_IRQ(): void;
/** Prepares one vCPU. */
export declare function xen_evtchn_init_cpu(cpu: number): void;
/** The upcall: runs the handlers of everything that is pending and unmasked for the running vCPU. Entered with interrupts off. */
export declare function xen_evtchn_do_upcall(): irqreturn_t;
/** Forgets all ports after a resume in a new domain; virtual irqs and IPIs get new ones, devices bind theirs again. */
export declare function xen_irq_resume(): void;
