/**
 * The records of the event trace. A record is a header word (kind in bits 0-7, words that follow in bits 8-31) and its words. A time is the
 * two words of a double, low word first. Bytes are preceded by their count and padded with zeros to whole words.
 *
 * | record | words |
 * |---|---|
 * | slice enter | domid \| vcpu << 16, time |
 * | slice exit | domid \| vcpu << 16, time, CONTROL_RAN_* |
 * | hypercall | domid \| vcpu << 16, op, a0, a1, a2, result |
 * | event | domid \| port << 16, time |
 * | xenstore | domid, type, request, transaction, bytes |
 * | disk | domid \| disk << 16, op, sector low, sector high, bytes, crc32, status, time |
 * | log | domid, time, bytes |
 * | input | number, time, bytes |
 * | domain | domid, what (TRACE_DOMAIN_*), argument, time |
 */
export const TRACE_SLICE_ENTER = 1;
export const TRACE_SLICE_EXIT = 2;
export const TRACE_HYPERCALL = 3;
export const TRACE_EVENT = 4;
export const TRACE_XENSTORE = 5;
export const TRACE_DISK = 6;
export const TRACE_LOG = 7;
export const TRACE_INPUT = 8;
export const TRACE_DOMAIN = 9;

export const TRACE_DOMAIN_CREATED = 1;
export const TRACE_DOMAIN_DESTROYED = 2;
export const TRACE_DOMAIN_SHUTDOWN = 3;
export const TRACE_DOMAIN_PAUSED = 4;
export const TRACE_DOMAIN_UNPAUSED = 5;
