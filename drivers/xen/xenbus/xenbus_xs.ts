/**
 * Requests to xenstored (Linux `drivers/xen/xenbus/xenbus_xs.c`): one request and one reply, matched by request id; the caller sleeps.
 *
 * Several callers may have a request on its way. A suspend waits until none is and no transaction is open, and holds new ones back.
 */
import {
  XS_DIRECTORY,
  XS_ERROR,
  XS_MKDIR,
  XS_READ,
  XS_RM,
  XS_TRANSACTION_END,
  XS_TRANSACTION_START,
  XS_UNWATCH,
  XS_WATCH,
  XS_WRITE,
  xsd_errors,
} from "../../../hal/abi/xs_wire";
import { complete, completion, wait_for_completion } from "xenolith/linux/completion";
import { IS_ERR, PTR_ERR, type err_ptr } from "xenolith/linux/err";
import { EINVAL, ENOENT, ERANGE } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { vsnprintf, pr_warn, pr_warn_ratelimited } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { bytes_to_string, simple_strtoul, sscanf, string_to_bytes } from "xenolith/linux/string";
import { ptr, type Ptr } from "xenolith/linux/types";
import { wait_event, wait_queue_head, wake_up } from "xenolith/linux/wait";
import { XBT_NIL, type xenbus_transaction } from "xenolith/xen/xenbus";
import { xb_message, xb_send, type xs_message } from "./xenbus_comms";

/** A request on its way. */
class xb_req_data {
  readonly done = new completion();
  reply: xs_message | null = null;
}

let xs_request_id = 0;
const xs_reply_list = new Map<number, xb_req_data>();
/** Requests on their way and transactions that are open. */
let xs_state_users = 0;
let xs_suspend_active = false;
const xs_state_enter_wq = new wait_queue_head();
const xs_state_exit_wq = new wait_queue_head();

type transaction = Readonly<xenbus_transaction>;

/** A reply came in: wakes the caller. Runs in the interrupt. */
export function xs_reply(message: xs_message): void {
  const req = xs_reply_list.get(message.req_id);
  if (req === undefined) return;
  xs_reply_list.delete(message.req_id);
  req.reply = message;
  complete(req.done);
}

function get_error(text: string): number {
  for (const error of xsd_errors) if (error.errstring === text) return error.errnum;
  pr_warn("xen store gave: unknown error %s\n", text);
  return EINVAL;
}

/** Text up to the first zero byte. */
function c_string(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return bytes_to_string(bytes, 0, end < 0 ? bytes.length : end);
}

function* xs_request_enter(tx_id: number): Sleeps<void> {
  if (tx_id === 0 && xs_suspend_active) yield* wait_event(xs_state_enter_wq, () => !xs_suspend_active);
  xs_state_users++;
}

function xs_request_exit(): void {
  xs_state_users--;
  if (xs_suspend_active && xs_state_users === 0) wake_up(xs_state_exit_wq);
}

/** Sends a request and sleeps until its reply: the reply's body or a negative errno. */
export function* xs_talkv(t: transaction, type: number, payload: Uint8Array): Sleeps<Uint8Array | err_ptr> {
  yield* xs_request_enter(t.id);
  const req = new xb_req_data();
  const req_id = xs_request_id;
  xs_request_id = (xs_request_id + 1) >>> 0;
  xs_reply_list.set(req_id, req);
  xb_send(xb_message(type, req_id, t.id, payload));
  yield* wait_for_completion(req.done);
  const reply = req.reply as xs_message;
  const result = xs_reply_result(reply, type);
  // An open transaction counts as one user from its start to its end.
  if (type === XS_TRANSACTION_START && !IS_ERR(result)) xs_state_users++;
  if (type === XS_TRANSACTION_END && !(IS_ERR(result) && PTR_ERR(result) === -ENOENT)) xs_state_users--;
  xs_request_exit();
  return result;
}

function xs_reply_result(reply: xs_message, type: number): Uint8Array | err_ptr {
  if (reply.type === XS_ERROR) return -get_error(c_string(reply.body));
  if (reply.type === type) return reply.body;
  pr_warn_ratelimited("unexpected type [%d], expected [%d]\n", reply.type, type);
  return -EINVAL;
}

/** A request whose payload is one string with its terminating zero. */
function* xs_single(t: transaction, type: number, text: string): Sleeps<Uint8Array | err_ptr> {
  return yield* xs_talkv(t, type, string_to_bytes(text + "\0"));
}

function xs_error(result: Uint8Array | err_ptr): number {
  return IS_ERR(result) ? PTR_ERR(result) : 0;
}

function join(dir: string, name: string): string {
  return name === "" ? dir : `${dir}/${name}`;
}

// ---- values -----------------------------------------------------------------------------------------------------------------------------

export function* xenbus_directory(
  t: transaction,
  dir: string,
  node: string,
  num: Ptr<number>,
): Sleeps<string[] | err_ptr> {
  const result = yield* xs_single(t, XS_DIRECTORY, join(dir, node));
  if (IS_ERR(result)) return result;
  const names = bytes_to_string(result).split("\0");
  names.pop();
  num.value = names.length;
  return names;
}
EXPORT_SYMBOL(xenbus_directory);

export function* xenbus_exists(t: transaction, dir: string, node: string): Sleeps<boolean> {
  return !IS_ERR(yield* xenbus_directory(t, dir, node, ptr(0)));
}
EXPORT_SYMBOL(xenbus_exists);

export function* xenbus_read(
  t: transaction,
  dir: string,
  node: string,
  len: Ptr<number> | null,
): Sleeps<string | err_ptr> {
  const result = yield* xs_single(t, XS_READ, join(dir, node));
  if (IS_ERR(result)) return result;
  if (len !== null) len.value = result.length;
  return bytes_to_string(result);
}
EXPORT_SYMBOL(xenbus_read);

export function* xenbus_write(t: transaction, dir: string, node: string, value: string): Sleeps<number> {
  return xs_error(yield* xs_talkv(t, XS_WRITE, string_to_bytes(`${join(dir, node)}\0${value}`)));
}
EXPORT_SYMBOL(xenbus_write);

export function* xenbus_mkdir(t: transaction, dir: string, node: string): Sleeps<number> {
  return xs_error(yield* xs_single(t, XS_MKDIR, join(dir, node)));
}
EXPORT_SYMBOL(xenbus_mkdir);

export function* xenbus_rm(t: transaction, dir: string, node: string): Sleeps<number> {
  return xs_error(yield* xs_single(t, XS_RM, join(dir, node)));
}
EXPORT_SYMBOL(xenbus_rm);

export function* xenbus_transaction_start(t: xenbus_transaction): Sleeps<number> {
  const result = yield* xs_single(XBT_NIL, XS_TRANSACTION_START, "");
  if (IS_ERR(result)) return PTR_ERR(result);
  t.id = simple_strtoul(c_string(result), null, 0);
  return 0;
}
EXPORT_SYMBOL(xenbus_transaction_start);

export function* xenbus_transaction_end(t: xenbus_transaction, abort: number): Sleeps<number> {
  return xs_error(yield* xs_single(t, XS_TRANSACTION_END, abort !== 0 ? "F" : "T"));
}
EXPORT_SYMBOL(xenbus_transaction_end);

export function* xenbus_scanf(
  t: transaction,
  dir: string,
  node: string,
  fmt: string,
  ...args: Ptr<number | string>[]
): Sleeps<number> {
  const value = yield* xenbus_read(t, dir, node, null);
  if (IS_ERR(value)) return PTR_ERR(value);
  const count = sscanf(value, fmt, ...args);
  return count <= 0 ? -ERANGE : count;
}
EXPORT_SYMBOL(xenbus_scanf);

export function* xenbus_read_unsigned(dir: string, node: string, default_val: number): Sleeps<number> {
  const value = ptr(0);
  const result = yield* xenbus_scanf(XBT_NIL, dir, node, "%u", value);
  return result <= 0 ? default_val : value.value;
}
EXPORT_SYMBOL(xenbus_read_unsigned);

export function* xenbus_printf(
  t: transaction,
  dir: string,
  node: string,
  fmt: string,
  ...args: unknown[]
): Sleeps<number> {
  return yield* xenbus_write(t, dir, node, vsnprintf(fmt, args));
}
EXPORT_SYMBOL(xenbus_printf);

export function* xenbus_gather(
  t: transaction,
  dir: string,
  ...args: (string | null | Ptr<number | string>)[]
): Sleeps<number> {
  for (let i = 0; i < args.length && args[i] !== null; i += 3) {
    const value = yield* xenbus_read(t, dir, args[i] as string, null);
    if (IS_ERR(value)) return PTR_ERR(value);
    const fmt = args[i + 1] as string | null;
    const into = args[i + 2] as Ptr<number | string>;
    if (fmt === null) into.value = value;
    else if (sscanf(value, fmt, into) <= 0) return -EINVAL;
  }
  return 0;
}
EXPORT_SYMBOL(xenbus_gather);

// ---- for watches and suspend ------------------------------------------------------------------------------------------------------------

/** Asks for events of `path`: 0 or a negative errno. */
export function* xs_watch(path: string, token: string): Sleeps<number> {
  return xs_error(yield* xs_talkv(XBT_NIL, XS_WATCH, string_to_bytes(`${path}\0${token}\0`)));
}

/** Asks for no more events of `path`: 0 or a negative errno. */
export function* xs_unwatch(path: string, token: string): Sleeps<number> {
  return xs_error(yield* xs_talkv(XBT_NIL, XS_UNWATCH, string_to_bytes(`${path}\0${token}\0`)));
}

/** Holds new requests back and sleeps until none is on its way and no transaction is open. */
export function* xs_suspend_enter(): Sleeps<void> {
  xs_suspend_active = true;
  yield* wait_event(xs_state_exit_wq, () => xs_state_users === 0);
}

/** Lets requests go on. */
export function xs_suspend_exit(): void {
  xs_suspend_active = false;
  wake_up(xs_state_enter_wq);
}

/** Forgets all requests. Called once, before the first. */
export function xs_requests_init(): void {
  xs_request_id = 0;
  xs_reply_list.clear();
  xs_state_users = 0;
  xs_suspend_active = false;
}
