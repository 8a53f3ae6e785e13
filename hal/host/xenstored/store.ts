/**
 * The tree, as a view through which operations look at it and change it. There are two: the live tree here, and the tree as a transaction sees
 * it (transactions.ts). Operations (operations.ts) do not know which one they have.
 *
 * A change of the live tree first saves what was there for every open transaction that has not saved it yet; that is all that a snapshot costs.
 *
 * A view checks nothing: paths are canonical, parents exist, permissions and quotas have been looked at.
 */
import { NODE_OVERHEAD_BYTES } from "./limits";
import { childPath, leafName, parentPath } from "./paths";
import { liveEntries } from "./permissions";
import type { XsAccount, XsNode, XsPermission, XsState } from "./state";

/** What operations need of a tree. */
export interface NodeView {
  /** The node, or undefined. Not to be changed by the caller. */
  get(path: string): XsNode | undefined;
  /** Names of the node's children, oldest first. The node must exist. */
  list(path: string): ReadonlySet<string>;
  /** Makes a node whose parent exists. */
  create(path: string, value: Uint8Array, permissions: readonly XsPermission[]): void;
  setValue(path: string, value: Uint8Array): void;
  setPermissions(path: string, permissions: readonly XsPermission[]): void;
  /** Removes a node, other than "/", and all below it. */
  remove(path: string): void;
  /** Nodes that the domain owns in this view. */
  ownedBy(domid: number): number;
}

/** Bytes that a node is charged with. */
export function nodeBytes(path: string, value: Uint8Array): number {
  return NODE_OVERHEAD_BYTES + path.length + value.length;
}

/** A copy that shares the value and the permissions. */
export function copyNode(node: XsNode): XsNode {
  return { ...node, children: new Set(node.children) };
}

/** The paths of a node and all below it, parents first, children in the order in which they were made. Iterative: trees are deep. */
export function subtree(view: Pick<NodeView, "list">, top: string): string[] {
  const found: string[] = [];
  const open = [top];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    found.push(path);
    const names = [...view.list(path)];
    for (let i = names.length - 1; i >= 0; i--) open.push(childPath(path, names[i]));
  }
  return found;
}

/** What a domain is charged with for its nodes. */
export function accountOf(state: XsState, domid: number): XsAccount {
  return state.accounts.get(domid) ?? { nodes: 0, bytes: 0 };
}

/** The live tree. `writer` is the domain on whose behalf it is changed. */
export class LiveView implements NodeView {
  constructor(private readonly state: XsState, private readonly writer: number) {}

  get(path: string): XsNode | undefined {
    return this.state.nodes.get(path);
  }

  list(path: string): ReadonlySet<string> {
    return this.node(path).children;
  }

  create(path: string, value: Uint8Array, permissions: readonly XsPermission[]): void {
    this.createAsOf(path, value, permissions, this.state.generation);
  }

  /** As `create`, with a list that was set at `permissionGeneration`: entries of domains that are gone since are dropped. */
  createAsOf(
    path: string,
    value: Uint8Array,
    permissions: readonly XsPermission[],
    permissionGeneration: number,
  ): void {
    this.preserve(path);
    const entries = liveEntries(this.state, { permissions, permissionGeneration });
    const generation = ++this.state.generation;
    this.state.nodes.set(path, {
      value,
      permissions: entries,
      permissionGeneration: generation,
      generation,
      children: new Set(),
      childGeneration: generation,
    });
    this.charge(entries[0].domid, 1, nodeBytes(path, value));
    this.changeChildren(path, "add");
  }

  setValue(path: string, value: Uint8Array): void {
    this.preserve(path);
    const node = this.node(path);
    this.charge(node.permissions[0].domid, 0, value.length - node.value.length);
    node.value = value;
    node.generation = ++this.state.generation;
  }

  setPermissions(path: string, permissions: readonly XsPermission[]): void {
    this.setPermissionsAsOf(path, permissions, this.state.generation);
  }

  /** As `setPermissions`, with a list that was set at `permissionGeneration`. */
  setPermissionsAsOf(path: string, permissions: readonly XsPermission[], permissionGeneration: number): void {
    this.preserve(path);
    const node = this.node(path);
    const bytes = nodeBytes(path, node.value);
    this.charge(node.permissions[0].domid, -1, -bytes);
    node.permissions = liveEntries(this.state, { permissions, permissionGeneration });
    node.permissionGeneration = node.generation = ++this.state.generation;
    this.charge(node.permissions[0].domid, 1, bytes);
  }

  remove(path: string): void {
    for (const gone of subtree(this, path).reverse()) this.removeOne(gone);
  }

  ownedBy(domid: number): number {
    return accountOf(this.state, domid).nodes;
  }

  private removeOne(path: string): void {
    this.preserve(path);
    const node = this.node(path);
    this.charge(node.permissions[0].domid, -1, -nodeBytes(path, node.value));
    this.state.nodes.delete(path);
    this.changeChildren(path, "delete");
    this.forgetAbsent(path);
  }

  private node(path: string): XsNode {
    const node = this.state.nodes.get(path);
    if (node === undefined) throw new Error(`xenstored: ${path} is not in the tree`);
    return node;
  }

  private changeChildren(path: string, how: "add" | "delete"): void {
    const parent = parentPath(path);
    this.preserve(parent);
    const node = this.node(parent);
    node.children[how](leafName(path));
    node.childGeneration = ++this.state.generation;
  }

  private charge(domid: number, nodes: number, bytes: number): void {
    const account = accountOf(this.state, domid);
    const sum = { nodes: account.nodes + nodes, bytes: account.bytes + bytes };
    if (sum.nodes === 0) this.state.accounts.delete(domid);
    else this.state.accounts.set(domid, sum);
  }

  /** Saves what is at the path for the open transactions, before it changes. */
  private preserve(path: string): void {
    if (this.state.transactions.size === 0) return;
    const node = this.state.nodes.get(path);
    let copy: XsNode | null = null;
    for (const { before } of this.state.transactions.values()) {
      const saved = before.get(path);
      if (saved !== undefined) saved.writer = this.writer;
      else {
        if (node !== undefined) copy ??= copyNode(node);
        before.set(path, { node: copy, writer: this.writer });
      }
    }
  }

  /** A path that was absent when a transaction began and is absent again has not changed: paths that come and go must not pile up. */
  private forgetAbsent(path: string): void {
    for (const { before } of this.state.transactions.values()) {
      if (before.get(path)?.node === null) before.delete(path);
    }
  }
}
