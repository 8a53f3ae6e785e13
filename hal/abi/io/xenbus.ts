/**
 * States of a split device (Xen public/io/xenbus.h), and Linux's limits on shared rings.
 */

/** One of the XenbusState numbers. */
export type xenbus_state = number;

export const XenbusStateUnknown = 0;
export const XenbusStateInitialising = 1;
export const XenbusStateInitWait = 2;
export const XenbusStateInitialised = 3;
export const XenbusStateConnected = 4;
export const XenbusStateClosing = 5;
export const XenbusStateClosed = 6;
export const XenbusStateReconfiguring = 7;
export const XenbusStateReconfigured = 8;

// Pages of one ring, at most (Linux).
export const XENBUS_MAX_RING_GRANT_ORDER = 4;
export const XENBUS_MAX_RING_GRANTS = 16;
