/**
 * Watches: who hears of a change.
 *
 * A change is observed before it is made and fired after it: a client hears of it if it may read the node as it was or as it is (XSA-115). Watches
 * fire in the order in which they were registered. A watch below a node that was removed hears its own path, if a node was there.
 */
import { sendEvent, memoryUsed } from "./connections";
import type { XsContext } from "./context";
import { MEMORY_MAX, MESSAGE_OVERHEAD_BYTES, WATCHES_MAX } from "./limits";
import { canonicalPath, domainPath, isAtOrBelow, isSpecial } from "./paths";
import type { Guarded } from "./permissions";
import { canRead, isPrivileged } from "./permissions";
import type { XsConnection, XsState, XsWatch } from "./state";
import type { XsErrno } from "./wire";

/** A change that is about to be made at `path`. */
export interface Observation {
  readonly path: string;
  /** null: no node yet. */
  readonly before: Guarded | null;
  /** Watched nodes strictly below, when the change is a removal. */
  readonly below: ReadonlyMap<string, Guarded>;
}

function guardedAt(state: XsState, path: string): Guarded | null {
  const node = state.nodes.get(path);
  if (node === undefined) return null;
  return { permissions: node.permissions, permissionGeneration: node.permissionGeneration };
}

/** Looks at the live tree before a change of the node at `path`. */
export function observe(state: XsState, path: string, change: "written" | "removed"): Observation {
  const below = new Map<string, Guarded>();
  for (const watch of change === "removed" ? state.watches : []) {
    const node = watch.path !== path && isAtOrBelow(watch.path, path) ? guardedAt(state, watch.path) : null;
    if (node !== null) below.set(watch.path, node);
  }
  return { path, before: guardedAt(state, path), below };
}

/** Tells everybody who may know of the change that has now been made. */
export function fire(context: XsContext, observation: Observation): void {
  const { path, before, below } = observation;
  const after = guardedAt(context.state, path);
  for (const watch of [...context.state.watches]) {
    if (isAtOrBelow(path, watch.path)) fireOne(context, watch, path, [before, after]);
    else if (below.has(watch.path) && !context.state.nodes.has(watch.path)) {
      fireOne(context, watch, watch.path, [below.get(watch.path) ?? null]);
    }
  }
}

/** Fires the watches of a special node. */
export function fireSpecial(context: XsContext, name: string): void {
  const node = guardedAt(context.state, name);
  for (const watch of [...context.state.watches]) {
    if (watch.path === name) fireOne(context, watch, name, [node]);
  }
}

function fireOne(context: XsContext, watch: XsWatch, path: string, nodes: (Guarded | null)[]): void {
  const connection = context.state.connections.get(watch.connection);
  if (connection === undefined) return;
  const readable = nodes.some((node) => node !== null && canRead(context.state, connection.domid, node));
  if (readable) sendEvent(context, connection, path.slice(watch.cut), watch.token);
}

/** The canonical path of what a client wants to watch, or an error. */
function watchedPath(state: XsState, connection: XsConnection, given: string): { path: string } | XsErrno {
  if (!isSpecial(given)) {
    const path = canonicalPath(given, connection.domid);
    return path === null ? "EINVAL" : { path };
  }
  const node = guardedAt(state, given);
  return node !== null && canRead(state, connection.domid, node) ? { path: given } : "EACCES";
}

/**
 * Registers a watch; the caller sends its first event after the reply. Errors: EINVAL (path), EACCES (special node), EEXIST (same path and token
 * again), E2BIG (too many), ENOMEM.
 */
export function addWatch(state: XsState, connection: XsConnection, given: string, token: string): XsErrno | null {
  const watched = watchedPath(state, connection, given);
  if (typeof watched === "string") return watched;
  const { path } = watched;
  if (state.watches.some((other) => isSame(other, connection, path, token))) return "EEXIST";
  const bytes = watchBytes(path, token);
  if (!isPrivileged(connection.domid)) {
    if (connection.watches >= WATCHES_MAX) return "E2BIG";
    if (memoryUsed(state, connection) + bytes > MEMORY_MAX) return "ENOMEM";
  }
  const cut = isSpecial(given) || given.startsWith("/") ? 0 : domainPath(connection.domid).length + 1;
  state.watches.push({ connection: connection.id, path, token, cut });
  connection.watches++;
  connection.watchBytes += bytes;
  return null;
}

/** Removes the watch with exactly this path and token. Errors: EINVAL, ENOENT. */
export function removeWatch(state: XsState, connection: XsConnection, given: string, token: string): XsErrno | null {
  const path = isSpecial(given) ? given : canonicalPath(given, connection.domid);
  if (path === null) return "EINVAL";
  const index = state.watches.findIndex((watch) => isSame(watch, connection, path, token));
  if (index < 0) return "ENOENT";
  state.watches.splice(index, 1);
  connection.watches--;
  connection.watchBytes -= watchBytes(path, token);
  return null;
}

function isSame(watch: XsWatch, connection: XsConnection, path: string, token: string): boolean {
  return watch.connection === connection.id && watch.path === path && watch.token === token;
}

function watchBytes(path: string, token: string): number {
  return MESSAGE_OVERHEAD_BYTES + path.length + token.length;
}
