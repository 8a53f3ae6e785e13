/**
 * Permissions: who may read and write a node, how a new node gets its list, and the text form of lists.
 *
 * An entry holds for the domain that had its number when the list was set. A domain that comes later with the same number has a younger
 * generation, and the entry is as if it were not there (XSA-322, XSA-417).
 */
import { DOMID_FIRST_RESERVED } from "../../abi/xen";
import type { XsDomain, XsNode, XsPermission, XsState } from "./state";

export const ACCESS_READ = 1;
export const ACCESS_WRITE = 2;
/** May change the permissions: the owner and privileged clients. Never stored in a list. */
export const ACCESS_OWNER = 4;
const ACCESS_ALL = ACCESS_READ | ACCESS_WRITE | ACCESS_OWNER;

/** What permission checks need of a node; also kept of nodes that are gone. */
export type Guarded = Pick<XsNode, "permissions" | "permissionGeneration">;

/** Domain 0 and the toolstack. */
export function isPrivileged(domid: number): boolean {
  return domid === 0;
}

/** Whether an entry that was set at `generation` still means the domain that has the number today. */
export function entryHolds(state: XsState, entry: XsPermission, generation: number): boolean {
  const domain = state.domains.get(entry.domid);
  return domain !== undefined && domain.generation <= generation;
}

/** What a client of `domid` may do with the node: a set of ACCESS_*. */
export function accessOf(state: XsState, domid: number, node: Guarded): number {
  if (isPrivileged(domid)) return ACCESS_ALL;
  const target = state.domains.get(domid)?.target ?? -1;
  const [owner, ...others] = node.permissions;
  const holds = (entry: XsPermission): boolean => entryHolds(state, entry, node.permissionGeneration);
  if ((owner.domid === domid || owner.domid === target) && holds(owner)) return ACCESS_ALL;
  const entry = others.find((other) => (other.domid === domid || other.domid === target) && holds(other));
  return (entry ?? owner).access;
}

/** Whether a client of `domid` may read the node. */
export function canRead(state: XsState, domid: number, node: Guarded): boolean {
  return (accessOf(state, domid, node) & ACCESS_READ) !== 0;
}

/** The entries of a node that still mean somebody. A node whose owner is gone belongs to domain 0. */
export function liveEntries(state: XsState, node: Guarded): readonly XsPermission[] {
  const holds = (entry: XsPermission): boolean => entryHolds(state, entry, node.permissionGeneration);
  if (node.permissions.every(holds)) return node.permissions;
  const [owner, ...others] = node.permissions;
  return [holds(owner) ? owner : { domid: 0, access: owner.access }, ...others.filter(holds)];
}

/** The list of a node that `domid` makes below `parent`: the parent's, owned by its maker unless that is privileged. */
export function inheritedPermissions(state: XsState, parent: Guarded, domid: number): readonly XsPermission[] {
  const entries = liveEntries(state, parent);
  if (isPrivileged(domid)) return entries;
  return [{ domid, access: entries[0].access }, ...entries.slice(1)];
}

/** The record of a domain, made if there is none: rights given to a number now are for the domain that comes next with it. */
export function findOrAddDomain(state: XsState, domid: number): XsDomain {
  const known = state.domains.get(domid);
  if (known !== undefined) return known;
  const domain: XsDomain = { generation: ++state.generation, introduced: false, target: -1 };
  state.domains.set(domid, domain);
  return domain;
}

const LETTERS = ["n", "r", "w", "b"];
const ENTRY = /^([nrwb])(0|[1-9][0-9]{0,4})$/;

/** "r5" for an entry. */
export function formatPermission(entry: XsPermission): string {
  return `${LETTERS[entry.access]}${entry.domid}`;
}

/** An entry from "r5", or null. */
export function parsePermission(text: string): XsPermission | null {
  const match = ENTRY.exec(text);
  if (match === null) return null;
  const domid = Number(match[2]);
  return domid < DOMID_FIRST_RESERVED ? { domid, access: LETTERS.indexOf(match[1]) } : null;
}
