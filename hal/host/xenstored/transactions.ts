/**
 * Transactions: a view of the whole database as it stood at the start, with changes of its own on top.
 *
 *   read:    overlay (own changes) -> before (what others changed since the start) -> the live tree
 *   commit:  everything that the transaction looked at is as it was   -> own changes are made live
 *            something that it looked at was changed by another client -> EAGAIN, and nothing happens
 *
 * A value together with the permissions, and the set of children, are two different things to look at: two transactions that make two children
 * of one directory do not conflict.
 */
import { NODES_MAX, TRANSACTION_NODES_MAX } from "./limits";
import { leafName, parentPath } from "./paths";
import { isPrivileged } from "./permissions";
import type { XsConnection, XsNode, XsPermission, XsState, XsTransaction } from "./state";
import type { NodeView } from "./store";
import { accountOf, copyNode, LiveView, nodeBytes, subtree } from "./store";

/** The transaction depends on the node's value, permissions or absence. */
export const DEPENDS_NODE = 1;
/** The transaction depends on the names of the node's children. */
export const DEPENDS_CHILDREN = 2;

/** Starts a transaction of the connection. Quotas have been checked. */
export function startTransaction(state: XsState, connection: XsConnection): XsTransaction {
  const transaction: XsTransaction = {
    serial: state.nextSerial++,
    id: connection.nextTransactionId,
    connection: connection.id,
    depends: new Map(),
    before: new Map(),
    overlay: new Map(),
    changes: new Map(),
    ownedDelta: new Map(),
    bytes: 0,
  };
  do connection.nextTransactionId = (connection.nextTransactionId + 1) >>> 0 || 1;
  while (connection.transactions.has(connection.nextTransactionId));
  state.transactions.set(transaction.serial, transaction);
  connection.transactions.set(transaction.id, transaction.serial);
  return transaction;
}

/** The connection's transaction with this id, or undefined. */
export function findTransaction(state: XsState, connection: XsConnection, id: number): XsTransaction | undefined {
  const serial = connection.transactions.get(id);
  return serial === undefined ? undefined : state.transactions.get(serial);
}

/** Forgets a transaction and what it changed. */
export function discardTransaction(state: XsState, transaction: XsTransaction): void {
  state.transactions.delete(transaction.serial);
  state.connections.get(transaction.connection)?.transactions.delete(transaction.id);
  if (state.guarded === transaction.serial) state.guarded = 0;
}

/** Whether it touched more nodes than an unprivileged client's may. */
export function touchesTooMuch(transaction: XsTransaction): boolean {
  return transaction.depends.size > TRANSACTION_NODES_MAX;
}

/** Domains that changed what the transaction looked at; empty when it can commit. */
export function conflictingWriters(state: XsState, transaction: XsTransaction): number[] {
  const writers = new Set<number>();
  for (const [path, bits] of transaction.depends) {
    const saved = transaction.before.get(path);
    if (saved !== undefined && hasChanged(saved.node, state.nodes.get(path), bits)) writers.add(saved.writer);
  }
  return [...writers];
}

function hasChanged(then: XsNode | null, now: XsNode | undefined, bits: number): boolean {
  if (then === null || now === undefined) return (then === null) !== (now === undefined);
  if ((bits & DEPENDS_NODE) !== 0 && then.generation !== now.generation) return true;
  return (bits & DEPENDS_CHILDREN) !== 0 && then.childGeneration !== now.childGeneration;
}

/** Whether the commit would give an unprivileged client more nodes than it may have. */
export function commitExceedsQuota(state: XsState, transaction: XsTransaction, domid: number): boolean {
  const delta = transaction.ownedDelta.get(domid) ?? 0;
  if (isPrivileged(domid) || delta <= 0) return false;
  return accountOf(state, domid).nodes + delta > NODES_MAX;
}

/**
 * Makes the changes of a transaction without conflicts live. `writer`: the client's domain. What is new comes in the order in which it was made,
 * so parents come before their children.
 */
export function applyTransaction(state: XsState, transaction: XsTransaction, writer: number): void {
  const live = new LiveView(state, writer);
  for (const [path, node] of transaction.overlay) {
    if (node === null && live.get(path) !== undefined) live.remove(path);
  }
  for (const [path, node] of transaction.overlay) if (node !== null) applyNode(live, path, node);
}

function applyNode(live: LiveView, path: string, node: XsNode): void {
  const old = live.get(path);
  if (old === undefined) {
    live.createAsOf(path, node.value, node.permissions, node.permissionGeneration);
    return;
  }
  if (old.value !== node.value) live.setValue(path, node.value);
  if (old.permissions !== node.permissions) {
    live.setPermissionsAsOf(path, node.permissions, node.permissionGeneration);
  }
}

/** The database as one transaction sees it. */
export class TransactionView implements NodeView {
  constructor(private readonly state: XsState, private readonly transaction: XsTransaction) {}

  get(path: string): XsNode | undefined {
    this.depend(path, DEPENDS_NODE);
    return this.peek(path);
  }

  list(path: string): ReadonlySet<string> {
    this.depend(path, DEPENDS_CHILDREN);
    return this.node(path).children;
  }

  create(path: string, value: Uint8Array, permissions: readonly XsPermission[]): void {
    this.depend(path, DEPENDS_NODE);
    const { generation } = this.state;
    const children = new Set<string>();
    const permissionGeneration = generation;
    this.put(path, { value, permissions, permissionGeneration, generation, children, childGeneration: generation });
    this.own(permissions[0].domid, 1);
    this.changeChildren(path, "add");
  }

  setValue(path: string, value: Uint8Array): void {
    const node = this.mutable(path);
    this.transaction.bytes += value.length - node.value.length;
    node.value = value;
  }

  setPermissions(path: string, permissions: readonly XsPermission[]): void {
    const node = this.mutable(path);
    this.own(node.permissions[0].domid, -1);
    node.permissions = permissions;
    node.permissionGeneration = this.state.generation;
    this.own(permissions[0].domid, 1);
  }

  remove(path: string): void {
    for (const gone of subtree(this, path).reverse()) {
      this.depend(gone, DEPENDS_NODE);
      this.own(this.node(gone).permissions[0].domid, -1);
      this.put(gone, null);
      this.changeChildren(gone, "delete");
    }
  }

  ownedBy(domid: number): number {
    return accountOf(this.state, domid).nodes + (this.transaction.ownedDelta.get(domid) ?? 0);
  }

  private peek(path: string): XsNode | undefined {
    const { overlay, before } = this.transaction;
    const own = overlay.get(path);
    if (own !== undefined) return own ?? undefined;
    const saved = before.get(path);
    return saved === undefined ? this.state.nodes.get(path) : saved.node ?? undefined;
  }

  private node(path: string): XsNode {
    const node = this.peek(path);
    if (node === undefined) throw new Error(`xenstored: ${path} is not in the transaction's tree`);
    return node;
  }

  /** The transaction's own copy of the node. Whoever writes back a whole node depends on all of it. */
  private mutable(path: string): XsNode {
    this.depend(path, DEPENDS_NODE);
    const own = this.transaction.overlay.get(path);
    if (own !== undefined && own !== null) return own;
    const copy = copyNode(this.node(path));
    this.put(path, copy);
    return copy;
  }

  private put(path: string, node: XsNode | null): void {
    const { overlay } = this.transaction;
    const old = overlay.get(path);
    if (old !== undefined && old !== null) this.transaction.bytes -= nodeBytes(path, old.value);
    if (node !== null) this.transaction.bytes += nodeBytes(path, node.value);
    overlay.set(path, node);
  }

  private own(domid: number, count: number): void {
    const { ownedDelta } = this.transaction;
    ownedDelta.set(domid, (ownedDelta.get(domid) ?? 0) + count);
  }

  private changeChildren(path: string, how: "add" | "delete"): void {
    const parent = this.mutable(parentPath(path));
    parent.children[how](leafName(path));
    parent.childGeneration = ++this.state.generation;
  }

  private depend(path: string, bit: number): void {
    const { depends } = this.transaction;
    depends.set(path, (depends.get(path) ?? 0) | bit);
  }
}
