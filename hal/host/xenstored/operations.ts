/**
 * What clients can do to the tree, live or in a transaction: each operation checks everything first and then changes everything, so that one that
 * fails has changed nothing (facts 6.2).
 *
 * A missing node is ENOENT only to those who may look at (or write to) the nearest existing node above it; others get EACCES and learn nothing.
 */
import { memoryUsed } from "./connections";
import type { XsContext } from "./context";
import { MEMORY_MAX, NODE_SIZE_MAX, NODES_MAX, PERMISSIONS_MAX } from "./limits";
import { parentPath } from "./paths";
import {
  accessOf,
  ACCESS_OWNER,
  ACCESS_READ,
  ACCESS_WRITE,
  findOrAddDomain,
  inheritedPermissions,
  isPrivileged,
  liveEntries,
} from "./permissions";
import type { XsConnection, XsNode, XsPermission, XsTransaction } from "./state";
import type { NodeView } from "./store";
import { LiveView, nodeBytes } from "./store";
import { TransactionView } from "./transactions";
import { fire, observe } from "./watches";
import type { XsErrno } from "./wire";

const EMPTY = new Uint8Array(0);

/** A client's tree operations, live (`transaction` null) or inside a transaction. */
export class TreeOperations {
  private readonly view: NodeView;
  private readonly domid: number;

  constructor(
    private readonly context: XsContext,
    private readonly connection: XsConnection,
    private readonly transaction: XsTransaction | null,
  ) {
    const { state } = context;
    this.domid = connection.domid;
    this.view = transaction === null ? new LiveView(state, this.domid) : new TransactionView(state, transaction);
  }

  /** The value. ENOENT, EACCES. */
  read(path: string): Uint8Array | XsErrno {
    const node = this.find(path, ACCESS_READ);
    return typeof node === "string" ? node : node.value;
  }

  /** Names of the children, oldest first, and the number that changes with them. ENOENT, EACCES. */
  directory(path: string): { names: string[]; generation: number } | XsErrno {
    const node = this.find(path, ACCESS_READ);
    if (typeof node === "string") return node;
    return { names: [...this.view.list(path)], generation: node.childGeneration };
  }

  /** Replaces the value, making the node and its parents if they are missing. EACCES, ENOSPC, ENOMEM. */
  write(path: string, value: Uint8Array): XsErrno | null {
    if (!isPrivileged(this.domid) && value.length > NODE_SIZE_MAX) return "ENOSPC";
    const node = this.find(path, ACCESS_WRITE);
    if (node === "ENOENT") return this.createAll(path, value);
    if (typeof node === "string") return node;
    if (this.lacksMemory(value.length - node.value.length)) return "ENOMEM";
    this.change(path, "written", () => this.view.setValue(path, value));
    return null;
  }

  /** Makes the node and its parents if they are missing, and changes nothing otherwise. EACCES, ENOSPC, ENOMEM. */
  mkdir(path: string): XsErrno | null {
    const node = this.find(path, ACCESS_WRITE);
    if (node === "ENOENT") return this.createAll(path, EMPTY);
    return typeof node === "string" ? node : null;
  }

  /** Removes the node and all below it. One that is missing is fine if its parent is there, else ENOENT. EINVAL for "/", EACCES. */
  rm(path: string): XsErrno | null {
    if (path === "/") return "EINVAL";
    const node = this.find(path, ACCESS_WRITE);
    if (node === "ENOENT") return this.view.get(parentPath(path)) === undefined ? "ENOENT" : null;
    if (typeof node === "string") return node;
    this.change(path, "removed", () => this.view.remove(path));
    return null;
  }

  /** The permission list, the owner first. ENOENT, EACCES. */
  getPermissions(path: string): readonly XsPermission[] | XsErrno {
    const node = this.find(path, ACCESS_READ);
    return typeof node === "string" ? node : liveEntries(this.context.state, node);
  }

  /** Replaces the permission list. Only the owner may, and only a privileged client may change the owner. EACCES, EPERM, ENOENT, ENOSPC. */
  setPermissions(path: string, permissions: readonly XsPermission[]): XsErrno | null {
    const privileged = isPrivileged(this.domid);
    const node = this.find(path, ACCESS_OWNER);
    if (typeof node === "string") return node;
    if (!privileged && permissions[0].domid !== node.permissions[0].domid) return "EPERM";
    if (!privileged && permissions.length > PERMISSIONS_MAX) return "ENOSPC";
    if (privileged) for (const { domid } of permissions) findOrAddDomain(this.context.state, domid);
    this.change(path, "written", () => this.view.setPermissions(path, permissions));
    return null;
  }

  /** The node, if the client has the wanted access to it; else why not. */
  private find(path: string, wanted: number): XsNode | XsErrno {
    const node = this.view.get(path);
    if (node !== undefined) return this.allowed(node, wanted) ? node : "EACCES";
    return this.allowed(this.nearest(path).node, wanted) ? "ENOENT" : "EACCES";
  }

  private allowed(node: XsNode, wanted: number): boolean {
    return (accessOf(this.context.state, this.domid, node) & wanted) === wanted;
  }

  /** The nearest existing node above a missing one, and the missing paths from there down. */
  private nearest(path: string): { node: XsNode; missing: string[] } {
    const missing: string[] = [];
    let at = path;
    let node = this.view.get(at);
    while (node === undefined) {
      missing.push(at);
      at = parentPath(at);
      node = this.view.get(at);
    }
    return { node, missing: missing.reverse() };
  }

  private createAll(path: string, value: Uint8Array): XsErrno | null {
    const { node, missing } = this.nearest(path);
    if (!isPrivileged(this.domid) && this.view.ownedBy(this.domid) + missing.length > NODES_MAX) return "ENOSPC";
    const bytes = missing.reduce((sum, each) => sum + nodeBytes(each, EMPTY), value.length);
    if (this.lacksMemory(bytes)) return "ENOMEM";
    const permissions = inheritedPermissions(this.context.state, node, this.domid);
    this.change(path, "written", () => {
      for (const each of missing) this.view.create(each, each === path ? value : EMPTY, permissions);
    });
    return null;
  }

  private lacksMemory(bytes: number): boolean {
    return (
      !isPrivileged(this.domid) && bytes > 0 && memoryUsed(this.context.state, this.connection) + bytes > MEMORY_MAX
    );
  }

  /** Changes the tree at `path`; watches hear of it now, or when the transaction commits. */
  private change(path: string, how: "written" | "removed", make: () => void): void {
    if (this.transaction !== null) {
      make();
      const { changes } = this.transaction;
      changes.set(path, changes.get(path) === "removed" ? "removed" : how);
      return;
    }
    const observation = observe(this.context.state, path, how);
    make();
    fire(this.context, observation);
  }
}
