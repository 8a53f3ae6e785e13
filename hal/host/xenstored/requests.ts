/**
 * Requests: from a message's payload to an operation and back. One table row per message type.
 *
 * Every payload is checked here in full: number of strings, terminators, numbers, paths. What a row returns is the reply's payload or an error name.
 */
import {
  XENSTORE_PAYLOAD_MAX,
  XS_CONTROL,
  XS_DIRECTORY,
  XS_DIRECTORY_PART,
  XS_GET_DOMAIN_PATH,
  XS_GET_PERMS,
  XS_INTRODUCE,
  XS_IS_DOMAIN_INTRODUCED,
  XS_MKDIR,
  XS_READ,
  XS_RELEASE,
  XS_RESET_WATCHES,
  XS_RESUME,
  XS_RM,
  XS_SET_PERMS,
  XS_SET_TARGET,
  XS_TRANSACTION_END,
  XS_TRANSACTION_START,
  XS_UNWATCH,
  XS_WATCH,
  XS_WRITE,
} from "../../abi/xs_wire";
import { dropClientState, memoryUsed } from "./connections";
import type { XsContext } from "./context";
import { introduceDomain, isDomid, releaseDomain } from "./domains";
import { CONFLICTS_MAX, MEMORY_MAX, TRANSACTIONS_MAX } from "./limits";
import { TreeOperations } from "./operations";
import { canonicalPath, domainPath, isSpecial } from "./paths";
import { formatPermission, isPrivileged, parsePermission } from "./permissions";
import type { XsConnection, XsEvent, XsPermission, XsTransaction } from "./state";
import {
  applyTransaction,
  commitExceedsQuota,
  conflictingWriters,
  discardTransaction,
  findTransaction,
  startTransaction,
  touchesTooMuch,
} from "./transactions";
import { addWatch, fire, observe, removeWatch } from "./watches";
import type { XsErrno, XsRequest } from "./wire";
import { bytesOf, joinStrings, parseDecimal, splitFirst, splitStrings } from "./wire";

/** What goes back to the client: the reply's payload, and for a new watch its first event. */
export interface XsAnswer {
  readonly payload: Uint8Array;
  readonly event?: XsEvent;
}

/** One client's request on its way through the table. */
interface Call {
  readonly context: XsContext;
  readonly connection: XsConnection;
  readonly transaction: XsTransaction | null;
  readonly payload: Uint8Array;
  readonly strings: string[] | null;
}

interface Operation {
  readonly run: (call: Call) => XsAnswer | XsErrno;
  /** The request's transaction id counts; elsewhere it is ignored. */
  readonly inTransaction?: true;
  /** Waits while a guarded transaction is open, if the client is unprivileged. */
  readonly changes?: true;
  readonly privileged?: true;
}

const OK: XsAnswer = { payload: joinStrings(["OK"]) };

function done(error: XsErrno | null): XsAnswer | XsErrno {
  return error ?? OK;
}

function text(strings: Iterable<string>): XsAnswer {
  return { payload: joinStrings(strings) };
}

function tree(call: Call): TreeOperations {
  return new TreeOperations(call.context, call.connection, call.transaction);
}

/** Calls `then` with the canonical path, if the payload is one path and nothing else. */
function withPath(call: Call, then: (path: string) => XsAnswer | XsErrno): XsAnswer | XsErrno {
  if (call.strings?.length !== 1) return "EINVAL";
  const path = canonicalPath(call.strings[0], call.connection.domid);
  return path === null ? "EINVAL" : then(path);
}

/** As canonicalPath, and the special nodes, which have permissions too. */
function nodeOrSpecial(call: Call, given: string): string | null {
  return isSpecial(given) ? given : canonicalPath(given, call.connection.domid);
}

/** The payload's strings as `count` numbers, or null. */
function numbers(call: Call, count: number): number[] | null {
  const values = call.strings?.map(parseDecimal) ?? [];
  return values.length === count && values.every((value) => value >= 0) ? values : null;
}

function read(call: Call): XsAnswer | XsErrno {
  return withPath(call, (path) => {
    const value = tree(call).read(path);
    return typeof value === "string" ? value : { payload: value };
  });
}

function write(call: Call): XsAnswer | XsErrno {
  const parts = splitFirst(call.payload);
  const path = parts === null ? null : canonicalPath(parts.text, call.connection.domid);
  return parts === null || path === null ? "EINVAL" : done(tree(call).write(path, parts.rest));
}

function directory(call: Call): XsAnswer | XsErrno {
  return withPath(call, (path) => {
    const listing = tree(call).directory(path);
    if (typeof listing === "string") return listing;
    const payload = joinStrings(listing.names);
    return payload.length > XENSTORE_PAYLOAD_MAX ? "E2BIG" : { payload };
  });
}

/** A directory's names from a byte offset on, behind the number that changes when they do; an empty name ends the last part. */
function directoryPart(call: Call): XsAnswer | XsErrno {
  if (call.strings?.length !== 2) return "EINVAL";
  const [path, offset] = [canonicalPath(call.strings[0], call.connection.domid), parseDecimal(call.strings[1])];
  if (path === null || offset < 0) return "EINVAL";
  const listing = tree(call).directory(path);
  if (typeof listing === "string") return listing;
  const head = joinStrings([String(listing.generation)]);
  const all = joinStrings([...listing.names, ""]);
  const rest = all.subarray(Math.min(offset, all.length - 1));
  const room = XENSTORE_PAYLOAD_MAX - head.length;
  const part = rest.length <= room ? rest : rest.subarray(0, rest.lastIndexOf(0, room - 1) + 1);
  const payload = new Uint8Array(head.length + part.length);
  payload.set(head);
  payload.set(part, head.length);
  return { payload };
}

function getPermissions(call: Call): XsAnswer | XsErrno {
  const path = call.strings?.length === 1 ? nodeOrSpecial(call, call.strings[0]) : null;
  if (path === null) return "EINVAL";
  const permissions = tree(call).getPermissions(path);
  return typeof permissions === "string" ? permissions : text(permissions.map(formatPermission));
}

function setPermissions(call: Call): XsAnswer | XsErrno {
  const [given, ...entries] = call.strings ?? [];
  const path = given === undefined ? null : nodeOrSpecial(call, given);
  const permissions = entries.map(parsePermission).filter((entry): entry is XsPermission => entry !== null);
  if (path === null || permissions.length === 0 || permissions.length < entries.length) return "EINVAL";
  return done(tree(call).setPermissions(path, permissions));
}

function watch(call: Call): XsAnswer | XsErrno {
  if (call.strings?.length !== 2) return "EINVAL";
  const [path, token] = call.strings;
  const error = addWatch(call.context.state, call.connection, path, token);
  return error ?? { ...OK, event: { path, token } };
}

function unwatch(call: Call): XsAnswer | XsErrno {
  if (call.strings?.length !== 2) return "EINVAL";
  return done(removeWatch(call.context.state, call.connection, call.strings[0], call.strings[1]));
}

function resetWatches(call: Call): XsAnswer {
  dropClientState(call.context.state, call.connection);
  return OK;
}

function transactionStart(call: Call): XsAnswer | XsErrno {
  const { connection, context } = call;
  const { state } = context;
  if (call.transaction !== null) return "EBUSY";
  if (!isPrivileged(connection.domid) && connection.transactions.size >= TRANSACTIONS_MAX) return "ENOSPC";
  const { id, serial } = startTransaction(state, connection);
  if (isPrivileged(connection.domid) && connection.conflicts >= CONFLICTS_MAX && state.guarded === 0) {
    state.guarded = serial;
  }
  return text([String(id)]);
}

function transactionEnd(call: Call): XsAnswer | XsErrno {
  const { context, connection, transaction, strings } = call;
  const commit = strings?.length === 1 ? strings[0] : "";
  if (commit !== "T" && commit !== "F") return "EINVAL";
  if (transaction === null) return "ENOENT";
  const conflicts = commit === "T" ? conflictingWriters(context.state, transaction) : [];
  discardTransaction(context.state, transaction);
  if (commit === "F") return OK;
  if (conflicts.length > 0) {
    if (conflicts.some((domid) => !isPrivileged(domid))) connection.conflicts++;
    return "EAGAIN";
  }
  connection.conflicts = 0;
  if (commitExceedsQuota(context.state, transaction, connection.domid)) return "ENOSPC";
  commitTransaction(context, connection, transaction);
  return OK;
}

function commitTransaction(context: XsContext, connection: XsConnection, transaction: XsTransaction): void {
  const observations = [...transaction.changes].map(([path, how]) => observe(context.state, path, how));
  applyTransaction(context.state, transaction, connection.domid);
  for (const observation of observations) fire(context, observation);
}

function introduce(call: Call): XsAnswer | XsErrno {
  const values = numbers(call, 3);
  return values === null ? "EINVAL" : done(introduceDomain(call.context, values[0], values[1]));
}

/** Runs `then` with the payload's only string as a domid. */
function withDomid(call: Call, then: (domid: number) => XsAnswer | XsErrno): XsAnswer | XsErrno {
  const values = numbers(call, 1);
  return values === null || !isDomid(values[0]) ? "EINVAL" : then(values[0]);
}

function isIntroduced(call: Call, domid: number): boolean {
  return call.context.state.domains.get(domid)?.introduced ?? false;
}

function setTarget(call: Call): XsAnswer | XsErrno {
  const values = numbers(call, 2);
  if (values === null || !values.every(isDomid)) return "EINVAL";
  const domain = call.context.state.domains.get(values[0]);
  if (domain === undefined || !isIntroduced(call, values[0]) || !isIntroduced(call, values[1])) return "ENOENT";
  domain.target = values[1];
  return OK;
}

const OPERATIONS: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [XS_CONTROL, { run: () => "EINVAL", privileged: true }],
  [XS_DIRECTORY, { run: directory, inTransaction: true }],
  [XS_READ, { run: read, inTransaction: true }],
  [XS_GET_PERMS, { run: getPermissions, inTransaction: true }],
  [XS_WATCH, { run: watch }],
  [XS_UNWATCH, { run: unwatch }],
  [XS_TRANSACTION_START, { run: transactionStart, inTransaction: true }],
  [XS_TRANSACTION_END, { run: transactionEnd, inTransaction: true, changes: true }],
  [XS_INTRODUCE, { run: introduce, privileged: true }],
  [
    XS_RELEASE,
    { run: (call) => withDomid(call, (domid) => done(releaseDomain(call.context, domid))), privileged: true },
  ],
  [XS_GET_DOMAIN_PATH, { run: (call) => withDomid(call, (domid) => text([domainPath(domid)])) }],
  [XS_WRITE, { run: write, inTransaction: true, changes: true }],
  [
    XS_MKDIR,
    { run: (call) => withPath(call, (path) => done(tree(call).mkdir(path))), inTransaction: true, changes: true },
  ],
  [XS_RM, { run: (call) => withPath(call, (path) => done(tree(call).rm(path))), inTransaction: true, changes: true }],
  [XS_SET_PERMS, { run: setPermissions, inTransaction: true, changes: true }],
  [
    XS_IS_DOMAIN_INTRODUCED,
    { run: (call) => withDomid(call, (domid) => text([isIntroduced(call, domid) ? "T" : "F"])) },
  ],
  [
    XS_RESUME,
    { run: (call) => withDomid(call, (domid) => (isIntroduced(call, domid) ? OK : "ENOENT")), privileged: true },
  ],
  [XS_SET_TARGET, { run: setTarget, privileged: true }],
  [XS_RESET_WATCHES, { run: resetWatches }],
  [XS_DIRECTORY_PART, { run: directoryPart, inTransaction: true }],
]);

/** Whether the request would change the database, and so waits while a guarded transaction of somebody else is open. */
export function changesTree(type: number): boolean {
  return OPERATIONS.get(type)?.changes ?? false;
}

/**
 * Carries out a request. Besides the errors of the operation: ENOSYS for an unknown one, EACCES for one that needs privilege, ENOENT for an
 * unknown transaction, ENOSPC and ENOMEM for one that has grown too large.
 */
export function perform(context: XsContext, connection: XsConnection, request: XsRequest): XsAnswer | XsErrno {
  const operation = OPERATIONS.get(request.type);
  if (operation === undefined) return "ENOSYS";
  const privileged = isPrivileged(connection.domid);
  if (operation.privileged && !privileged) return "EACCES";
  let transaction: XsTransaction | null = null;
  if (operation.inTransaction && request.txId !== 0) {
    transaction = findTransaction(context.state, connection, request.txId) ?? null;
    if (transaction === null) return "ENOENT";
    const growing = request.type !== XS_TRANSACTION_END && !privileged;
    if (growing && touchesTooMuch(transaction)) return "ENOSPC";
    if (growing && memoryUsed(context.state, connection) > MEMORY_MAX) return "ENOMEM";
  }
  const { payload } = request;
  return operation.run({ context, connection, transaction, payload, strings: splitStrings(payload) });
}

/** The payload of an XS_ERROR message. */
export function errorPayload(errno: XsErrno): Uint8Array {
  return bytesOf(`${errno}\0`);
}
