/**
 * The xenstore wire protocol and its ring page (Xen public/io/xs_wire.h).
 *
 * A message is a header and `len` bytes of payload. The guest writes requests into `req` and reads replies and watch events from `rsp`; the
 * four indices run freely, and xenstored trusts none of the guest's two.
 */
import { struct } from "./layout";

// Message types.
export const XS_CONTROL = 0;
export const XS_DIRECTORY = 1;
export const XS_READ = 2;
export const XS_GET_PERMS = 3;
export const XS_WATCH = 4;
export const XS_UNWATCH = 5;
export const XS_TRANSACTION_START = 6;
export const XS_TRANSACTION_END = 7;
export const XS_INTRODUCE = 8;
export const XS_RELEASE = 9;
export const XS_GET_DOMAIN_PATH = 10;
export const XS_WRITE = 11;
export const XS_MKDIR = 12;
export const XS_RM = 13;
export const XS_SET_PERMS = 14;
export const XS_WATCH_EVENT = 15;
export const XS_ERROR = 16;
export const XS_IS_DOMAIN_INTRODUCED = 17;
export const XS_RESUME = 18;
export const XS_SET_TARGET = 19;
export const XS_RESET_WATCHES = 21;
export const XS_DIRECTORY_PART = 22;
export const XS_TYPE_COUNT = 23;
export const XS_INVALID = 65535;

/** A message's header. `tx_id` 0: no transaction. `req_id` is echoed; 0 in watch events. */
export const xsd_sockmsg = /* @__PURE__ */ struct("xsd_sockmsg", {
  size: 16,
  align: 4,
  fields: { type: [0, "u32"], req_id: [4, "u32"], tx_id: [8, "u32"], len: [12, "u32"] },
});
export const XSD_SOCKMSG_SIZE = 16;
export const XSD_SOCKMSG_TYPE = 0;
export const XSD_SOCKMSG_REQ_ID = 4;
export const XSD_SOCKMSG_TX_ID = 8;
export const XSD_SOCKMSG_LEN = 12;

/** The ring page. */
export const xenstore_domain_interface = /* @__PURE__ */ struct("xenstore_domain_interface", {
  size: 2076,
  align: 4,
  fields: {
    req: [0, 1024],
    rsp: [1024, 1024],
    req_cons: [2048, "u32"],
    req_prod: [2052, "u32"],
    rsp_cons: [2056, "u32"],
    rsp_prod: [2060, "u32"],
    server_features: [2064, "u32"],
    connection: [2068, "u32"],
    error: [2072, "u32"],
  },
});
export const XENSTORE_DOMAIN_INTERFACE_SIZE = 2076;
export const XENSTORE_DOMAIN_INTERFACE_REQ = 0;
export const XENSTORE_DOMAIN_INTERFACE_RSP = 1024;
export const XENSTORE_DOMAIN_INTERFACE_REQ_CONS = 2048;
export const XENSTORE_DOMAIN_INTERFACE_REQ_PROD = 2052;
export const XENSTORE_DOMAIN_INTERFACE_RSP_CONS = 2056;
export const XENSTORE_DOMAIN_INTERFACE_RSP_PROD = 2060;
export const XENSTORE_DOMAIN_INTERFACE_SERVER_FEATURES = 2064;
export const XENSTORE_DOMAIN_INTERFACE_CONNECTION = 2068;
export const XENSTORE_DOMAIN_INTERFACE_ERROR = 2072;

// Limits, bytes.
export const XENSTORE_RING_SIZE = 1024;
export const XENSTORE_PAYLOAD_MAX = 4096;
export const XENSTORE_ABS_PATH_MAX = 3072;
export const XENSTORE_REL_PATH_MAX = 2048;

/** Index into `req` or `rsp` of a free-running index. */
export function MASK_XENSTORE_IDX(idx: number): number {
  return idx & 1023;
}

// xenstore_domain_interface.server_features, .connection and .error.
export const XENSTORE_SERVER_FEATURE_RECONNECTION = 1;
export const XENSTORE_SERVER_FEATURE_ERROR = 2;
export const XENSTORE_CONNECTED = 0;
export const XENSTORE_RECONNECT = 1;
export const XENSTORE_ERROR_NONE = 0;
export const XENSTORE_ERROR_COMM = 1;
export const XENSTORE_ERROR_RINGIDX = 2;
export const XENSTORE_ERROR_PROTO = 3;

// Which of a watch event's two zero-terminated strings is which.
export const XS_WATCH_PATH = 0;
export const XS_WATCH_TOKEN = 1;

/** Errors that xenstored may answer with, as they stand in an XS_ERROR message. The first is what a client assumes for an unknown name. */
export const xsd_errors: readonly { readonly errnum: number; readonly errstring: string }[] = [
  { errnum: 22, errstring: "EINVAL" },
  { errnum: 13, errstring: "EACCES" },
  { errnum: 17, errstring: "EEXIST" },
  { errnum: 21, errstring: "EISDIR" },
  { errnum: 2, errstring: "ENOENT" },
  { errnum: 12, errstring: "ENOMEM" },
  { errnum: 28, errstring: "ENOSPC" },
  { errnum: 5, errstring: "EIO" },
  { errnum: 39, errstring: "ENOTEMPTY" },
  { errnum: 38, errstring: "ENOSYS" },
  { errnum: 30, errstring: "EROFS" },
  { errnum: 16, errstring: "EBUSY" },
  { errnum: 11, errstring: "EAGAIN" },
  { errnum: 106, errstring: "EISCONN" },
  { errnum: 7, errstring: "E2BIG" },
  { errnum: 1, errstring: "EPERM" },
];
