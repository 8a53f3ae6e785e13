/**
 * xenstored: the store that the domains of one machine share, served over each domain's ring page.
 *
 *   introduce ──► service (whenever the guest rings the store's event channel) ──► release
 *                   receive a request ─► perform it ─► watch events ─► its reply ─► into the ring, as room allows
 *
 * Every byte of a ring page is an allegation. A guest can lose its own connection and nothing else: no call throws because of a guest, the work of
 * one call is bounded by what fits into a ring, and all that a domain can make the store remember is bounded by its quotas.
 *
 * Privileged writers come first: when unprivileged ones have twice in a row made a privileged client's transaction fail, its next one is guarded,
 * and their changes wait until it has ended (XSA-206).
 */
import * as errnos from "../../abi/errno";
import {
  XENSTORE_ERROR_PROTO,
  XENSTORE_ERROR_RINGIDX,
  XENSTORE_PAYLOAD_MAX,
  XSD_SOCKMSG_SIZE,
  XS_DIRECTORY,
  XS_ERROR,
} from "../../abi/xs_wire";
import {
  closeConnection,
  flushOutput,
  isHost,
  parkConnection,
  resetConnection,
  sendEvent,
  sendReply,
} from "./connections";
import type { XenStoredEnv, XsContext, XsRecord } from "./context";
import { introduceDomain, releaseDomain } from "./domains";
import type { HostBackend } from "./host-connection";
import { HostConnection } from "./host-connection";
import { REPLIES_MAX } from "./limits";
import { TreeOperations } from "./operations";
import { canonicalPath } from "./paths";
import { isPrivileged } from "./permissions";
import { recordOf } from "./recorder";
import type { XsAnswer } from "./requests";
import { changesTree, errorPayload, perform } from "./requests";
import { isSound, RING_BROKEN, takeRequestBytes, wantsReconnect } from "./ring";
import type { XsConnection, XsEvent, XsState } from "./state";
import { createConnection, createXsState, SPECIAL_RELEASE } from "./state";
import { findTransaction } from "./transactions";
import { fireSpecial } from "./watches";
import type { XsErrno, XsRequest } from "./wire";
import { decodeHeader, joinStrings, payloadChecksum } from "./wire";

export type { XenStoredEnv, XsRecord } from "./context";
export type { XsEvent, XsState } from "./state";
export { HostConnection, HostOperations, XenStoreError } from "./host-connection";

export class XenStored {
  private readonly context: XsContext;

  /** A new store, or one that goes on from a state that was taken earlier. */
  constructor(env: XenStoredEnv, state: XsState = createXsState()) {
    this.context = { env, state, toNotify: new Set(), recording: null };
  }

  /** Everything that there is to save. Plain data: `structuredClone` copies it. */
  get state(): XsState {
    return this.context.state;
  }

  /** Goes on from another state, for example a structuredClone of `state` taken earlier. Connections of the toolstack go by their ids. */
  restore(state: XsState): void {
    this.context.state = state;
  }

  /**
   * Connects a domain by the ring page in frame `ringMfn` and fires @introduceDomain. Again for a connected domain: its watches and transactions
   * are gone, and the new page counts. Returns 0 or -EINVAL (no such frame or domid).
   */
  introduce(domid: number, ringMfn: number): number {
    const error = introduceDomain(this.context, domid, ringMfn);
    this.finish();
    return errnoOf(error);
  }

  /**
   * Forgets a domain that is gone: connection, watches, transactions, the nodes that it owns, and all rights of its number. Fires
   * @releaseDomain. Returns 0 or -ENOENT.
   */
  release(domid: number): number {
    const error = releaseDomain(this.context, domid);
    this.finish();
    return errnoOf(error);
  }

  /** Fires @releaseDomain for a domain that has shut down and is still there. */
  announceShutdown(): void {
    fireSpecial(this.context, SPECIAL_RELEASE);
    this.finish();
  }

  /**
   * Serves the domain's ring: sends what waits, then carries out requests until there are no more or too many replies are unread. Returns the
   * number of requests carried out, also those of other domains that had to wait for one of these. 0 for a domain that is not connected.
   */
  service(domid: number): number {
    const connection = this.state.connections.get(domid);
    if (connection === undefined || isHost(connection)) return 0;
    return this.serve(connection) + this.finish();
  }

  /** Bytes that wait for room in the domain's ring. */
  pendingOutput(domid: number): number {
    const connection = this.state.connections.get(domid);
    if (connection === undefined) return 0;
    return connection.output.reduce((sum, { bytes }) => sum + bytes.length, 0) - connection.outputSent;
  }

  /** Whether the domain is introduced. */
  isIntroduced(domid: number): boolean {
    return this.state.domains.get(domid)?.introduced ?? false;
  }

  /** Why the domain's connection is parked (XENSTORE_ERROR_*); 0 if it is not, or if there is none. */
  parkedBecause(domid: number): number {
    return this.state.connections.get(domid)?.parked ?? 0;
  }

  /** A connection for the toolstack. */
  connectHost(): HostConnection {
    const id = this.state.nextHostConnection++;
    this.state.connections.set(id, createConnection(id, 0, -1, 0, 0));
    return new HostConnection(this.backend, id);
  }

  /** The host connections of a restored state, oldest first. */
  hostConnections(): HostConnection[] {
    const hosts = [...this.state.connections.values()].filter(isHost);
    return hosts.map(({ id }) => new HostConnection(this.backend, id));
  }

  /** Starts to list every operation of every client. The list is not part of the state. */
  startRecording(): void {
    this.context.recording = [];
  }

  /** Ends the recording and returns it; empty if there was none. */
  takeRecording(): XsRecord[] {
    const recording = this.context.recording ?? [];
    this.context.recording = null;
    return recording;
  }

  private readonly backend: HostBackend = {
    request: (id, type, txId, payload) => this.hostRequest(id, type, txId, payload),
    childNames: (id, txId, path) => this.hostDirectory(id, txId, path),
    takeEvents: (id) => this.takeHostEvents(id),
    close: (id) => this.closeHost(id),
  };

  /** Ends a public call: those go on who waited for it, and bells ring. Returns the number of requests carried out meanwhile. */
  private finish(): number {
    const resumed = this.serveHeld();
    const { toNotify } = this.context;
    for (const id of toNotify) this.context.env.notify(id);
    toNotify.clear();
    return resumed;
  }

  private serveHeld(): number {
    const { state } = this.context;
    let count = 0;
    while (state.guarded === 0 && state.held.size > 0) {
      const [id] = state.held;
      state.held.delete(id);
      const connection = state.connections.get(id);
      if (connection !== undefined) count += this.serve(connection);
    }
    return count;
  }

  private serve(connection: XsConnection): number {
    const memory = this.context.env.memory();
    if (wantsReconnect(memory, connection.mfn)) resetConnection(this.context, connection);
    if (connection.parked !== 0) return 0;
    if (!isSound(memory, connection)) parkConnection(this.context, connection, XENSTORE_ERROR_RINGIDX);
    flushOutput(this.context, connection);
    let count = 0;
    while (connection.parked === 0 && connection.outputReplies < REPLIES_MAX) {
      const request = this.receive(connection);
      if (request === null) break;
      if (this.mustWait(connection, request)) {
        this.state.held.add(connection.id);
        break;
      }
      connection.inputUsed = 0;
      this.answer(connection, request);
      count++;
    }
    return count;
  }

  private mustWait(connection: XsConnection, request: XsRequest): boolean {
    return this.state.guarded !== 0 && !isPrivileged(connection.domid) && changesTree(request.type);
  }

  /** The next request, once all of it has come; null until then, or when the connection had to be parked. */
  private receive(connection: XsConnection): XsRequest | null {
    if (!this.fill(connection, XSD_SOCKMSG_SIZE)) return null;
    const header = decodeHeader(connection.input);
    if (header.length > XENSTORE_PAYLOAD_MAX) {
      this.answerWith(connection, { ...header, payload: new Uint8Array(0) }, "E2BIG");
      if (connection.parked === 0) parkConnection(this.context, connection, XENSTORE_ERROR_PROTO);
      return null;
    }
    const size = XSD_SOCKMSG_SIZE + header.length;
    if (!this.fill(connection, size)) return null;
    return { ...header, payload: connection.input.slice(XSD_SOCKMSG_SIZE, size) };
  }

  /** Takes bytes until `size` are there. */
  private fill(connection: XsConnection, size: number): boolean {
    const missing = size - connection.inputUsed;
    if (missing <= 0) return true;
    const memory = this.context.env.memory();
    const count = takeRequestBytes(memory, connection, connection.input, connection.inputUsed, missing);
    if (count === RING_BROKEN) parkConnection(this.context, connection, XENSTORE_ERROR_RINGIDX);
    if (count <= 0) return false;
    this.context.toNotify.add(connection.id);
    connection.inputUsed += count;
    return count === missing;
  }

  private answer(connection: XsConnection, request: XsRequest): void {
    const { type, reqId, txId, length, payload } = request;
    this.context.env.trace(connection.domid, type, reqId, txId, length, payloadChecksum(payload));
    const result = perform(this.context, connection, request);
    this.record(connection, request, typeof result === "string" ? result : null);
    this.answerWith(connection, request, result);
  }

  private answerWith(connection: XsConnection, request: XsRequest, result: XsAnswer | XsErrno): void {
    const { type, reqId, txId } = request;
    const tooBig = typeof result !== "string" && result.payload.length > XENSTORE_PAYLOAD_MAX;
    const answer = tooBig ? "E2BIG" : result;
    if (typeof answer === "string") {
      sendReply(this.context, connection, XS_ERROR, reqId, txId, errorPayload(answer));
      return;
    }
    sendReply(this.context, connection, type, reqId, txId, answer.payload);
    if (answer.event !== undefined) sendEvent(this.context, connection, answer.event.path, answer.event.token);
  }

  private record(connection: XsConnection, request: XsRequest, error: XsErrno | null): void {
    this.context.recording?.push(recordOf(connection, request, error));
  }

  private hostConnection(id: number): XsConnection {
    const connection = this.state.connections.get(id);
    if (connection === undefined) throw new Error("this connection to xenstored is closed");
    return connection;
  }

  private hostRequest(id: number, type: number, txId: number, payload: Uint8Array): Uint8Array | XsErrno {
    const connection = this.hostConnection(id);
    const request = { type, reqId: 0, txId, length: payload.length, payload };
    const result = perform(this.context, connection, request);
    this.record(connection, request, typeof result === "string" ? result : null);
    if (typeof result !== "string" && result.event !== undefined) {
      sendEvent(this.context, connection, result.event.path, result.event.token);
    }
    this.finish();
    return typeof result === "string" ? result : result.payload;
  }

  private hostDirectory(id: number, txId: number, given: string): string[] | XsErrno {
    const connection = this.hostConnection(id);
    const names = this.listNames(connection, txId, given);
    const request = { type: XS_DIRECTORY, reqId: 0, txId, length: 0, payload: joinStrings([given]) };
    this.record(connection, request, typeof names === "string" ? names : null);
    return names;
  }

  private listNames(connection: XsConnection, txId: number, given: string): string[] | XsErrno {
    const path = canonicalPath(given, connection.domid);
    const transaction = txId === 0 ? null : findTransaction(this.state, connection, txId);
    if (path === null) return "EINVAL";
    if (transaction === undefined) return "ENOENT";
    const listing = new TreeOperations(this.context, connection, transaction).directory(path);
    return typeof listing === "string" ? listing : listing.names;
  }

  private closeHost(id: number): void {
    closeConnection(this.state, this.hostConnection(id));
    this.finish();
  }

  private takeHostEvents(id: number): XsEvent[] {
    const connection = this.hostConnection(id);
    const { events } = connection;
    connection.events = [];
    return events;
  }
}

/** 0, or the negative number of an error. */
function errnoOf(error: XsErrno | null): number {
  return error === null ? 0 : -errnos[error];
}
