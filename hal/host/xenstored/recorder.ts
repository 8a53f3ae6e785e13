/**
 * What clients asked for, as a list: for tests that compare the order of operations with recordings of real drivers.
 */
import { XS_DIRECTORY_PART, XS_SET_PERMS, XS_TRANSACTION_END, XS_UNWATCH, XS_WATCH, XS_WRITE } from "../../abi/xs_wire";
import { isHost } from "./connections";
import type { XsRecord } from "./context";
import type { XsConnection } from "./state";
import type { XsRequest } from "./wire";
import { OPERATION_NAMES, splitFirst, splitStrings, textOf } from "./wire";

/** The record of a request and its outcome; `error` is null for success. */
export function recordOf(connection: XsConnection, request: XsRequest, error: string | null): XsRecord {
  const record: XsRecord = {
    op: OPERATION_NAMES.get(request.type) ?? String(request.type),
    domid: connection.domid,
    from: isHost(connection) ? "host" : "ring",
    txid: request.txId,
  };
  Object.assign(record, detailsOf(request));
  if (error !== null) record.error = error;
  return record;
}

function detailsOf({ type, payload }: XsRequest): Partial<XsRecord> {
  if (type === XS_WRITE) {
    const parts = splitFirst(payload);
    return parts === null ? {} : { path: parts.text, value: textOf(parts.rest) };
  }
  const [first, ...others] = splitStrings(payload) ?? [];
  if (first === undefined) return {};
  if (type === XS_TRANSACTION_END) return { commit: first };
  if (type === XS_WATCH || type === XS_UNWATCH) return { path: first, token: others[0] };
  if (type === XS_SET_PERMS || type === XS_DIRECTORY_PART) return { path: first, value: others.join(",") };
  return { path: first };
}
