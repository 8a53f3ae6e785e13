/**
 * Every limit of xenstored, in one place. Domain 0 and the toolstack are privileged: only the limits of the wire bind them.
 *
 * Sources: the default hard quotas of Xen's C xenstored. The error that goes with each is said beside it.
 */

/** Nodes that a domain may own; ENOSPC. */
export const NODES_MAX = 1000;
/** Watches of one connection; E2BIG. */
export const WATCHES_MAX = 128;
/** Transactions that a connection may have open; ENOSPC. */
export const TRANSACTIONS_MAX = 10;
/** Nodes that one transaction may touch; ENOSPC. */
export const TRANSACTION_NODES_MAX = 1024;
/** Entries of one permission list; ENOSPC. */
export const PERMISSIONS_MAX = 5;
/** Bytes of one node's value; ENOSPC. */
export const NODE_SIZE_MAX = 2048;
/** Bytes of a path below /local/domain/ID/; EINVAL. */
export const PATH_LENGTH_MAX = 2048;
/** Replies that a connection may leave unread before its next request waits. Binds everybody. */
export const REPLIES_MAX = 20;
/** Bytes kept on behalf of one domain: nodes, watches, transactions, unread output. ENOMEM; unread output alone parks the connection. */
export const MEMORY_MAX = 2.5 * 1024 * 1024;
/** Bytes of unread output of a privileged connection before it is parked. */
export const PRIVILEGED_OUTPUT_MAX = 16 * 1024 * 1024;
/** Events that a host connection may leave untaken before equal ones are merged. */
export const HOST_EVENTS_UNMERGED = 1024;
/** Attempts of a host transaction before it is given up. */
export const HOST_ATTEMPTS_MAX = 16;
/** Conflicts in a row that unprivileged writers may cause a privileged connection before its next transaction is guarded. */
export const CONFLICTS_MAX = 2;
/** What a node costs besides its path and value, and a queued message besides its bytes. */
export const NODE_OVERHEAD_BYTES = 64;
export const MESSAGE_OVERHEAD_BYTES = 32;
