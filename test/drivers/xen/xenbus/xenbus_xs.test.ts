import { afterEach, describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "xenolith/linux/interrupt";
import { kthread_run } from "xenolith/linux/kthread";
import type { Sleeps } from "xenolith/linux/sched";
import { ptr } from "xenolith/linux/types";
import {
  XBT_NIL,
  register_xenbus_watch,
  unregister_xenbus_watch,
  xenbus_directory,
  xenbus_exists,
  xenbus_gather,
  xenbus_printf,
  xenbus_read,
  xenbus_read_unsigned,
  xenbus_rm,
  xenbus_scanf,
  xenbus_transaction,
  xenbus_transaction_end,
  xenbus_transaction_start,
  xenbus_watch,
  xenbus_write,
} from "xenolith/xen/xenbus";
import { msleep } from "xenolith/linux/delay";
import { EAGAIN, EINVAL, ENOENT, ERANGE } from "../../../../hal/abi/errno";
import { bootKernel } from "../boot-kernel";

const kernel = bootKernel(1);
const { fake, store, run, settle } = kernel;
const HOME = "/local/domain/1";

afterEach(() => {
  store.deaf = false;
  store.nodes.clear();
});

/** The last request's bytes, request id left out. */
function lastRequest(): string {
  const bytes = Buffer.from(store.requests[store.requests.length - 1]);
  return `${bytes.subarray(0, 4).toString("hex")} ${bytes.subarray(8, 16).toString("hex")} ${bytes
    .subarray(16)
    .toString("hex")}`;
}

const hex = (text: string): string => Buffer.from(text, "latin1").toString("hex");
const header = (type: number, tx: number, length: number): string => {
  const words = Buffer.from(new Uint32Array([type, tx, length]).buffer);
  return `${words.subarray(0, 4).toString("hex")} ${words.subarray(4).toString("hex")}`;
};

describe("the wire", () => {
  test("each request is a header and strings as the protocol says", () => {
    run(() => xenbus_read(XBT_NIL, "device/vbd/1", "state", null));
    expect(lastRequest()).toBe(`${header(2, 0, 19)} ${hex("device/vbd/1/state\0")}`);
    run(() => xenbus_write(XBT_NIL, "a", "b", "value"));
    expect(lastRequest()).toBe(`${header(11, 0, 9)} ${hex("a/b\0value")}`);
    run(() => xenbus_directory(XBT_NIL, "a", "", ptr(0)));
    expect(lastRequest()).toBe(`${header(1, 0, 2)} ${hex("a\0")}`);
    run(() => xenbus_rm(XBT_NIL, "a", "b"));
    expect(lastRequest()).toBe(`${header(13, 0, 4)} ${hex("a/b\0")}`);
  });

  test("a transaction's requests carry its id, and its end says commit or not", () => {
    const t = new xenbus_transaction();
    run(() => xenbus_transaction_start(t));
    expect(lastRequest()).toBe(`${header(6, 0, 1)} 00`);
    expect(t.id).toBeGreaterThan(0);
    run(() => xenbus_write(t, "a", "b", "1"));
    expect(lastRequest()).toBe(`${header(11, t.id, 5)} ${hex("a/b\x001")}`);
    expect(store.nodes.has(`${HOME}/a/b`)).toBe(false);
    run(() => xenbus_transaction_end(t, 0));
    expect(lastRequest()).toBe(`${header(7, t.id, 2)} ${hex("T\0")}`);
    expect(store.nodes.get(`${HOME}/a/b`)).toBe("1");
    run(() => xenbus_transaction_start(t));
    run(() => xenbus_transaction_end(t, 1));
    expect(lastRequest()).toBe(`${header(7, t.id, 2)} ${hex("F\0")}`);
  });

  test("request ids go up by one", () => {
    run(() => xenbus_exists(XBT_NIL, "a", ""));
    run(() => xenbus_exists(XBT_NIL, "a", ""));
    const ids = store.requests.slice(-2).map((request) => new DataView(request.buffer).getUint32(4, true));
    expect(ids[1]).toBe(ids[0] + 1);
  });

  test("a request and a reply that are longer than the ring go through it in pieces", () => {
    const value = Array.from({ length: 3000 }, (_, i) => String.fromCharCode(33 + (i % 90))).join("");
    expect(run(() => xenbus_write(XBT_NIL, "a", "long", value))).toBe(0);
    expect(store.nodes.get(`${HOME}/a/long`)).toBe(value);
    const len = ptr(0);
    expect(run(() => xenbus_read(XBT_NIL, "a", "long", len))).toBe(value);
    expect(len.value).toBe(3000);
  });

  test("the ring's indices may wrap around 2^32", () => {
    const words = fake.page(2);
    for (const word of [512, 513, 514, 515]) words[word] = 0xffffffe0;
    expect(run(() => xenbus_write(XBT_NIL, "a", "wrap", "x".repeat(100)))).toBe(0);
    expect(run(() => xenbus_read(XBT_NIL, "a", "wrap", null))).toBe("x".repeat(100));
    expect(words[513]).toBeLessThan(1024);
  });

  test("replies find their callers by request id, whoever asked first", () => {
    store.nodes.set(`${HOME}/a`, "1").set(`${HOME}/b`, "2");
    const results: unknown[] = [];
    run(function* () {
      store.deaf = true;
      const spawn = (name: string): void => void kernelThread(name, results);
      spawn("a");
      spawn("b");
      yield* msleep(1);
      store.deaf = false;
      store.serve();
      yield* msleep(1);
    });
    expect(results).toEqual(["a=1", "b=2"]);
  });
});

function kernelThread(name: string, results: unknown[]): void {
  kthread_run(
    function* (): Sleeps<number> {
      const value = yield* xenbus_read(XBT_NIL, name, "", null);
      results.push(`${name}=${value}`);
      return 0;
    },
    null,
    name,
  );
}

describe("values", () => {
  test("errors come back as negative errnos", () => {
    expect(run(() => xenbus_read(XBT_NIL, "no", "such", null))).toBe(-ENOENT);
    expect(run(() => xenbus_exists(XBT_NIL, "no", "such"))).toBe(false);
    expect(run(() => xenbus_scanf(XBT_NIL, "no", "such", "%d", ptr(0)))).toBe(-ENOENT);
  });

  test("a refused commit is -EAGAIN", () => {
    const t = new xenbus_transaction();
    run(() => xenbus_transaction_start(t));
    store.conflicts = 1;
    expect(run(() => xenbus_transaction_end(t, 0))).toBe(-EAGAIN);
  });

  test("scanf counts conversions; none is -ERANGE", () => {
    store.nodes.set(`${HOME}/d/phys`, "ca:1f").set(`${HOME}/d/word`, "abc");
    const [major, minor] = [ptr(0), ptr(0)];
    expect(run(() => xenbus_scanf(XBT_NIL, "d", "phys", "%x:%x", major, minor))).toBe(2);
    expect([major.value, minor.value]).toEqual([0xca, 0x1f]);
    expect(run(() => xenbus_scanf(XBT_NIL, "d", "word", "%u", major))).toBe(-ERANGE);
    store.nodes.set(`${HOME}/d/phys`, "ca");
    expect(run(() => xenbus_scanf(XBT_NIL, "d", "phys", "%x:%x", major, minor))).toBe(1);
  });

  test("an unsigned number that is missing, garbage or empty is the default", () => {
    store.nodes.set(`${HOME}/d/n`, "16").set(`${HOME}/d/bad`, "many").set(`${HOME}/d/empty`, "");
    const read = (node: string): number => run(() => xenbus_read_unsigned("d", node, 7));
    expect(["n", "bad", "empty", "none"].map(read)).toEqual([16, 7, 7, 7]);
  });

  test("gather reads until the first failure", () => {
    store.nodes.set(`${HOME}/d/id`, "5").set(`${HOME}/d/path`, "/x y").set(`${HOME}/d/bad`, "?");
    const [id, path] = [ptr(0), ptr("")];
    expect(run(() => xenbus_gather(XBT_NIL, "d", "id", "%i", id, "path", null, path, null))).toBe(0);
    expect([id.value, path.value]).toEqual([5, "/x y"]);
    expect(run(() => xenbus_gather(XBT_NIL, "d", "bad", "%i", id, "path", null, path, null))).toBe(-EINVAL);
    expect(run(() => xenbus_gather(XBT_NIL, "d", "none", "%i", id, null))).toBe(-ENOENT);
  });

  test("printf formats, and directories list names", () => {
    run(() => xenbus_printf(XBT_NIL, "d", "ref", "%u", 0xfffffff0));
    expect(store.nodes.get(`${HOME}/d/ref`)).toBe("4294967280");
    store.nodes.set(`${HOME}/d/two`, "");
    const count = ptr(0);
    expect(run(() => xenbus_directory(XBT_NIL, "d", "", count))).toEqual(["ref", "two"]);
    expect(count.value).toBe(2);
  });
});

describe("watches", () => {
  function watchOn(path: string): { watch: xenbus_watch; events: string[] } {
    const watch = new xenbus_watch(null);
    const events: string[] = [];
    watch.node = path;
    watch.callback = (_watch, changed) => void events.push(changed);
    expect(run(() => register_xenbus_watch(watch))).toBe(0);
    settle();
    return { watch, events };
  }

  test("a watch fires once at once, then for every change at or below its path", () => {
    const { watch, events } = watchOn("w");
    expect(events).toEqual(["w"]);
    store.write(`${HOME}/w/x/y`, "1");
    store.write(`${HOME}/v`, "1");
    settle();
    expect(events).toEqual(["w", "w/x/y"]);
    run(() => unregister_xenbus_watch(watch));
    store.write(`${HOME}/w`, "2");
    settle();
    expect(events).toHaveLength(2);
  });

  test("will_handle decides when an event arrives: a storm leaves one in the queue", () => {
    const { watch, events } = watchOn("s");
    watch.will_handle = (w) => w.nr_pending === 0;
    let pending = 0;
    run(function* () {
      for (let i = 0; i < 500; i++) {
        store.write(`${HOME}/s/state`, String(i));
        local_irq_restore(local_irq_save()); // interrupts come in
        pending = Math.max(pending, watch.nr_pending);
      }
      yield* msleep(1);
    });
    expect(pending).toBe(1);
    expect(events.length).toBeLessThan(5);
    run(() => unregister_xenbus_watch(watch));
  });

  test("unregistering drops queued events, and works inside the callback", () => {
    const watch = new xenbus_watch(null);
    const events: string[] = [];
    watch.node = "c";
    watch.callback = function* (w, path): Sleeps<void> {
      events.push(path);
      if (events.length === 2) yield* unregister_xenbus_watch(w);
    };
    run(() => register_xenbus_watch(watch));
    settle();
    for (let i = 0; i < 5; i++) store.write(`${HOME}/c/${i}`, "");
    settle();
    expect(events).toEqual(["c", "c/0"]);
  });

  test("unregistering waits for a callback that is running", () => {
    const order: string[] = [];
    const watch = new xenbus_watch(null);
    watch.node = "r";
    watch.callback = function* (): Sleeps<void> {
      order.push("callback begins");
      yield* msleep(10);
      order.push("callback ends");
    };
    run(function* () {
      yield* register_xenbus_watch(watch);
      yield* msleep(1);
      yield* unregister_xenbus_watch(watch);
      order.push("unregistered");
    });
    expect(order).toEqual(["callback begins", "callback ends", "unregistered"]);
  });

  test("an event with a token that nobody has is ignored", () => {
    const { watch, events } = watchOn("t");
    run(() => unregister_xenbus_watch(watch));
    const again = watchOn("t");
    store.write(`${HOME}/t`, "1");
    settle();
    expect(events).toEqual(["t"]);
    expect(again.events).toEqual(["t", "t"]);
    run(() => unregister_xenbus_watch(again.watch));
  });
});
