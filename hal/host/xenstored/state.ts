/**
 * The whole state of xenstored: one plain object of numbers, strings, arrays, Maps, Sets and byte arrays, without closures or class instances,
 * so that `structuredClone` of it is a snapshot. Maps and Sets keep the order of insertion, which is the order of everything that a client sees.
 *
 * `nodes` maps a canonical path to its node; every node but "/" and the two special ones ("@introduceDomain", "@releaseDomain") has its parent
 * in there. A node's value and permission list are never changed in place, only replaced, so they may be shared by copies.
 */

/** One entry of a permission list: what `domid` may do. The first entry of a list names the owner and what everybody else may do. */
export interface XsPermission {
  readonly domid: number;
  /** ACCESS_READ | ACCESS_WRITE (permissions.ts). */
  readonly access: number;
}

export interface XsNode {
  value: Uint8Array;
  permissions: readonly XsPermission[];
  /** `state.generation` when the list was set: an entry means the domain that had the number then, not a later one. */
  permissionGeneration: number;
  /** Changes with the value and the permissions. */
  generation: number;
  /** Names of the children, oldest first. */
  children: Set<string>;
  /** Changes with the set of children. */
  childGeneration: number;
}

/** What stood at a path when a transaction began, and who changed it since. */
export interface XsPreserved {
  /** null: there was no node. */
  readonly node: XsNode | null;
  /** The last domain that changed it. */
  writer: number;
}

export interface XsTransaction {
  /** Unique in the store's life. */
  readonly serial: number;
  /** What the client calls it. */
  readonly id: number;
  readonly connection: number;
  /** What the transaction has looked at: path to DEPENDS_* (transactions.ts). */
  readonly depends: Map<string, number>;
  /** The database at the start, as far as it was changed since. */
  readonly before: Map<string, XsPreserved>;
  /** The transaction's own version of nodes; null: removed. */
  readonly overlay: Map<string, XsNode | null>;
  /** Paths whose watches fire at commit, in order, and whether a node was removed there. */
  readonly changes: Map<string, "written" | "removed">;
  /** By how much the commit will change the number of nodes that a domain owns. */
  readonly ownedDelta: Map<number, number>;
  /** Bytes in `overlay`, for the quota. */
  bytes: number;
}

export interface XsWatch {
  readonly connection: number;
  /** Canonical path, or the name of a special node. */
  readonly path: string;
  readonly token: string;
  /** Leading characters that are cut from the paths of events: those of "/local/domain/ID/" for a relative watch. */
  readonly cut: number;
}

/** A message on its way to a client. */
export interface XsOutgoing {
  readonly bytes: Uint8Array;
  /** Empty for a reply; for an event what makes two of them equal. */
  readonly eventKey: string;
}

/** A client: a domain's ring page, or the toolstack in this process. */
export interface XsConnection {
  /** The domid for a ring; from HOST_CONNECTION_FIRST up for the toolstack. */
  readonly id: number;
  readonly domid: number;
  /** Frame of the ring page; -1 for the toolstack. */
  readonly mfn: number;
  /** Our two indices. The page has copies for the guest to read; what the guest makes of those is its own affair. */
  reqCons: number;
  rspProd: number;
  /** The request that is being received: header and payload. */
  readonly input: Uint8Array;
  inputUsed: number;
  /** Not read any more, for the reason that stands in the page's `error`. 0: alive. */
  parked: number;
  output: XsOutgoing[];
  /** Bytes of the first message that are in the ring already. */
  outputSent: number;
  /** Bytes of all of `output`, with overhead. */
  outputBytes: number;
  outputReplies: number;
  /** Keys of the events in `output` of which no byte was sent. */
  readonly queuedEvents: Set<string>;
  /** Events of a host connection. */
  events: XsEvent[];
  /** Client's id to serial. */
  readonly transactions: Map<number, number>;
  nextTransactionId: number;
  watches: number;
  watchBytes: number;
  /** Commits in a row that failed because of an unprivileged writer. */
  conflicts: number;
}

/** A watch event as the toolstack takes it. */
export interface XsEvent {
  path: string;
  token: string;
}

export interface XsDomain {
  /** `state.generation` when it came to be known: older permission entries with its number are not meant for it. */
  readonly generation: number;
  introduced: boolean;
  /** The domain that it may act for (device model domains); -1: none. */
  target: number;
}

/** What a domain owns. */
export interface XsAccount {
  nodes: number;
  bytes: number;
}

export interface XsState {
  /** Counts changes of anything; the source of all generations. */
  generation: number;
  readonly nodes: Map<string, XsNode>;
  readonly domains: Map<number, XsDomain>;
  readonly accounts: Map<number, XsAccount>;
  readonly connections: Map<number, XsConnection>;
  /** In order of registration. */
  watches: XsWatch[];
  /** Open transactions by serial. */
  readonly transactions: Map<number, XsTransaction>;
  nextSerial: number;
  nextHostConnection: number;
  /** Serial of the transaction that unprivileged writers must not disturb; 0: none. */
  guarded: number;
  /** Connections whose next request waits for the end of the guarded transaction. */
  readonly held: Set<number>;
}

/** Ids of connections from here up are the toolstack's. */
export const HOST_CONNECTION_FIRST = 0x1_0000;

/** Paths of the nodes that stand for the coming and going of domains. */
export const SPECIAL_INTRODUCE = "@introduceDomain";
export const SPECIAL_RELEASE = "@releaseDomain";

const EMPTY = new Uint8Array(0);

/** A node of domain 0 that nobody else may see. */
function privateNode(): XsNode {
  return {
    value: EMPTY,
    permissions: [{ domid: 0, access: 0 }],
    permissionGeneration: 0,
    generation: 0,
    children: new Set(),
    childGeneration: 0,
  };
}

/** The state of an empty store: the root, the two special nodes, and domain 0. */
export function createXsState(): XsState {
  return {
    generation: 0,
    nodes: new Map(["/", SPECIAL_INTRODUCE, SPECIAL_RELEASE].map((path) => [path, privateNode()])),
    domains: new Map([[0, { generation: 0, introduced: false, target: -1 }]]),
    accounts: new Map([[0, { nodes: 3, bytes: 0 }]]),
    connections: new Map(),
    watches: [],
    transactions: new Map(),
    nextSerial: 1,
    nextHostConnection: HOST_CONNECTION_FIRST,
    guarded: 0,
    held: new Set(),
  };
}

/** A new connection of `domid`. `reqCons` and `rspProd` go on from where the page stands. */
export function createConnection(
  id: number,
  domid: number,
  mfn: number,
  reqCons: number,
  rspProd: number,
): XsConnection {
  return {
    id,
    domid,
    mfn,
    reqCons,
    rspProd,
    input: new Uint8Array(mfn < 0 ? 0 : 16 + 4096),
    inputUsed: 0,
    parked: 0,
    output: [],
    outputSent: 0,
    outputBytes: 0,
    outputReplies: 0,
    queuedEvents: new Set(),
    events: [],
    transactions: new Map(),
    nextTransactionId: 1,
    watches: 0,
    watchBytes: 0,
    conflicts: 0,
  };
}
