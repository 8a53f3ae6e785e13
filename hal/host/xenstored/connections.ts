/**
 * A connection's way out: replies and events queue here and go into the ring as room allows. And its ends: parked, reset, closed.
 *
 * The queue of a client that does not read is bounded: it is not served while REPLIES_MAX replies wait, an event that already waits is not
 * queued again, and beyond the domain's memory quota the connection is parked (XSA-326).
 */
import {
  XENSTORE_ERROR_COMM,
  XENSTORE_ERROR_NONE,
  XENSTORE_ERROR_RINGIDX,
  XENSTORE_PAYLOAD_MAX,
  XS_WATCH_EVENT,
} from "../../abi/xs_wire";
import type { XsContext } from "./context";
import { HOST_EVENTS_UNMERGED, MEMORY_MAX, MESSAGE_OVERHEAD_BYTES, PRIVILEGED_OUTPUT_MAX } from "./limits";
import { isPrivileged } from "./permissions";
import { announceError, announceServer, clearIndices, putReplyBytes, RING_BROKEN } from "./ring";
import type { XsConnection, XsState } from "./state";
import { HOST_CONNECTION_FIRST } from "./state";
import { accountOf } from "./store";
import { discardTransaction } from "./transactions";
import { encodeMessage, joinStrings, payloadChecksum } from "./wire";

/** Whether the connection is the toolstack's. */
export function isHost(connection: XsConnection): boolean {
  return connection.id >= HOST_CONNECTION_FIRST;
}

/** Bytes that the store keeps on behalf of the connection's domain. */
export function memoryUsed(state: XsState, connection: XsConnection): number {
  let bytes = accountOf(state, connection.domid).bytes + connection.outputBytes + connection.watchBytes;
  for (const serial of connection.transactions.values()) bytes += state.transactions.get(serial)?.bytes ?? 0;
  return bytes;
}

/** Sends a reply. */
export function sendReply(
  context: XsContext,
  connection: XsConnection,
  type: number,
  reqId: number,
  txId: number,
  payload: Uint8Array,
): void {
  if (connection.parked !== 0) return;
  connection.outputReplies++;
  enqueue(context, connection, type, reqId, txId, payload, "");
}

/** Sends a watch event; one that would not fit into a message is dropped (XSA-324). */
export function sendEvent(context: XsContext, connection: XsConnection, path: string, token: string): void {
  if (isHost(connection)) {
    keepHostEvent(connection, path, token);
    return;
  }
  const key = `${path}\0${token}`;
  if (connection.parked !== 0 || key.length + 1 > XENSTORE_PAYLOAD_MAX || connection.queuedEvents.has(key)) return;
  enqueue(context, connection, XS_WATCH_EVENT, 0, 0, joinStrings([path, token]), key);
}

function keepHostEvent(connection: XsConnection, path: string, token: string): void {
  const { events } = connection;
  const full = events.length >= HOST_EVENTS_UNMERGED;
  if (full && events.some((event) => event.path === path && event.token === token)) return;
  events.push({ path, token });
}

function enqueue(
  context: XsContext,
  connection: XsConnection,
  type: number,
  reqId: number,
  txId: number,
  payload: Uint8Array,
  eventKey: string,
): void {
  context.env.trace(connection.domid, type, reqId, txId, payload.length, payloadChecksum(payload));
  const bytes = encodeMessage(type, reqId, txId, payload);
  connection.output.push({ bytes, eventKey });
  connection.outputBytes += bytes.length + MESSAGE_OVERHEAD_BYTES;
  if (eventKey !== "") connection.queuedEvents.add(eventKey);
  flushOutput(context, connection);
  if (exceedsOutput(context.state, connection)) parkConnection(context, connection, XENSTORE_ERROR_COMM);
}

function exceedsOutput(state: XsState, connection: XsConnection): boolean {
  if (connection.output.length === 0) return false;
  if (isPrivileged(connection.domid)) return connection.outputBytes > PRIVILEGED_OUTPUT_MAX;
  return memoryUsed(state, connection) > MEMORY_MAX;
}

/** Moves queued messages into the ring until it is full. */
export function flushOutput(context: XsContext, connection: XsConnection): void {
  while (connection.output.length > 0) {
    const [{ bytes, eventKey }] = connection.output;
    const count = putReplyBytes(context.env.memory(), connection, bytes, connection.outputSent);
    if (count === RING_BROKEN) parkConnection(context, connection, XENSTORE_ERROR_RINGIDX);
    if (count <= 0) return;
    context.toNotify.add(connection.id);
    if (eventKey !== "") connection.queuedEvents.delete(eventKey);
    connection.outputSent += count;
    if (connection.outputSent < bytes.length) return;
    connection.output.shift();
    connection.outputSent = 0;
    connection.outputBytes -= bytes.length + MESSAGE_OVERHEAD_BYTES;
    if (eventKey === "") connection.outputReplies--;
  }
}

/** Ends the connection's watches and transactions. */
export function dropClientState(state: XsState, connection: XsConnection): void {
  for (const serial of [...connection.transactions.values()]) {
    const transaction = state.transactions.get(serial);
    if (transaction !== undefined) discardTransaction(state, transaction);
  }
  state.watches = state.watches.filter((watch) => watch.connection !== connection.id);
  connection.watches = 0;
  connection.watchBytes = 0;
}

function emptyQueues(connection: XsConnection): void {
  connection.inputUsed = 0;
  connection.output = [];
  connection.outputSent = 0;
  connection.outputBytes = 0;
  connection.outputReplies = 0;
  connection.queuedEvents.clear();
}

/**
 * Stops listening to a client that broke the protocol, and says why in the page (XENSTORE_ERROR_*). The domain goes on, and so does what the
 * store knows of it (XSA-325); it may ask for a fresh connection.
 */
export function parkConnection(context: XsContext, connection: XsConnection, error: number): void {
  connection.parked = error;
  dropClientState(context.state, connection);
  emptyQueues(connection);
  context.state.held.delete(connection.id);
  announceError(context.env.memory(), connection.mfn, error);
  context.toNotify.add(connection.id);
}

/** Gives the guest the fresh connection that it asked for: empty rings, no watches, no transactions. */
export function resetConnection(context: XsContext, connection: XsConnection): void {
  dropClientState(context.state, connection);
  emptyQueues(connection);
  context.state.held.delete(connection.id);
  connection.parked = XENSTORE_ERROR_NONE;
  connection.reqCons = 0;
  connection.rspProd = 0;
  clearIndices(context.env.memory(), connection.mfn);
  announceServer(context.env.memory(), connection.mfn);
  context.toNotify.add(connection.id);
}

/** Forgets a connection. */
export function closeConnection(state: XsState, connection: XsConnection): void {
  dropClientState(state, connection);
  state.held.delete(connection.id);
  state.connections.delete(connection.id);
}
