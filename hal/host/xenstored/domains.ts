/**
 * Domains come and go.
 *
 * The record of a domain appears when somebody privileged first speaks of it and lasts until it is released, whatever becomes of its connection
 * (XSA-325). With the record go its nodes, so that whoever gets the number next starts with nothing (XSA-322, XSA-483).
 */
import { DOMID_FIRST_RESERVED } from "../../abi/xen";
import {
  XENSTORE_DOMAIN_INTERFACE_REQ_CONS as REQ_CONS,
  XENSTORE_DOMAIN_INTERFACE_RSP_PROD as RSP_PROD,
} from "../../abi/xs_wire";
import { closeConnection } from "./connections";
import type { XsContext } from "./context";
import { findOrAddDomain, liveEntries } from "./permissions";
import { announceServer, hasFrame, readPageWord } from "./ring";
import { createConnection, SPECIAL_INTRODUCE, SPECIAL_RELEASE } from "./state";
import { LiveView } from "./store";
import { fire, fireSpecial, observe } from "./watches";
import type { XsErrno } from "./wire";

/** Whether the number can name a domain. */
export function isDomid(domid: number): boolean {
  return Number.isInteger(domid) && domid >= 0 && domid < DOMID_FIRST_RESERVED;
}

/** Connects a domain by the ring page in frame `mfn`; again: with a new page, without the old watches and transactions. EINVAL. */
export function introduceDomain(context: XsContext, domid: number, mfn: number): XsErrno | null {
  const { state, env } = context;
  const memory = env.memory();
  if (!isDomid(domid) || !hasFrame(memory, mfn)) return "EINVAL";
  const old = state.connections.get(domid);
  if (old !== undefined) closeConnection(state, old);
  const [reqCons, rspProd] = [readPageWord(memory, mfn, REQ_CONS), readPageWord(memory, mfn, RSP_PROD)];
  state.connections.set(domid, createConnection(domid, domid, mfn, reqCons, rspProd));
  findOrAddDomain(state, domid).introduced = true;
  announceServer(memory, mfn);
  fireSpecial(context, SPECIAL_INTRODUCE);
  return null;
}

/** Forgets a domain: its connection, watches, transactions, nodes and rights. ENOENT if nothing is known of it. */
export function releaseDomain(context: XsContext, domid: number): XsErrno | null {
  const { state } = context;
  const domain = state.domains.get(domid);
  if (domain === undefined) return "ENOENT";
  const connection = state.connections.get(domid);
  if (connection !== undefined) closeConnection(state, connection);
  domain.introduced = false;
  if (domid !== 0) forgetDomain(context, domid);
  fireSpecial(context, SPECIAL_RELEASE);
  return null;
}

function forgetDomain(context: XsContext, domid: number): void {
  const { state } = context;
  state.domains.delete(domid);
  for (const other of state.domains.values()) if (other.target === domid) other.target = -1;
  const owned = [...state.nodes].filter(([, node]) => node.permissions[0].domid === domid).map(([path]) => path);
  for (const path of owned) removeOwned(context, path);
}

function removeOwned(context: XsContext, path: string): void {
  const { state } = context;
  const live = new LiveView(state, 0);
  const node = live.get(path);
  if (node === undefined) return;
  const removable = path !== "/" && path.startsWith("/");
  const observation = observe(state, path, removable ? "removed" : "written");
  if (removable) live.remove(path);
  else live.setPermissions(path, liveEntries(state, node));
  fire(context, observation);
}
