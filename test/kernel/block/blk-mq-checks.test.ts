/** Bugs of a driver, each of which kills the domain. */
import { beforeAll, describe, expect, it } from "vitest";
import { bio_add_page, bio_alloc, bio_endio, bio_put, submit_bio_nowait } from "xenolith/linux/bio";
import { REQ_OP_READ } from "xenolith/linux/blk_types";
import {
  blk_mq_complete_request,
  blk_mq_end_request,
  blk_mq_free_request,
  blk_mq_requeue_request,
  blk_mq_start_request,
  blk_update_request,
} from "xenolith/linux/blk-mq";
import type { request } from "xenolith/linux/blk-mq";
import { alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import "../../../kernel/block/blk-sysfs";
import { bootBareKernel } from "../../kit/bare-kernel";
import { TestDisk } from "./test-disk";

const kernel = bootBareKernel();
const test = new TestDisk();
let data: page;

beforeAll(() => {
  kernel.runInitcalls();
  kernel.run(() => test.add("buggy", {}, { queue_depth: 64 }));
  data = alloc_page(0) as page;
});

/** A request that the driver has. */
function started(): request {
  const made = bio_alloc(test.disk.part0, 1, REQ_OP_READ, 0);
  bio_add_page(made, data, 4096, 0);
  made.bi_end_io = bio_put;
  submit_bio_nowait(made);
  return test.held.pop() as request;
}

/** A request that was ended. */
function ended(): request {
  const rq = started();
  blk_mq_end_request(rq, 0);
  return rq;
}

describe("requests", () => {
  it.each([
    ["ended twice", () => blk_mq_end_request(ended(), 0), "use-after-free"],
    ["freed after its end", () => blk_mq_free_request(ended()), "use-after-free"],
    ["updated after its end", () => void blk_update_request(ended(), 0, 512), "used after it ended"],
    ["requeued after its end", () => blk_mq_requeue_request(ended(), false), "requeued after it ended"],
    ["completed after its end", () => blk_mq_complete_request(ended()), "completed twice"],
    ["started after its end", () => blk_mq_start_request(ended()), "started after it ended"],
    ["started twice", () => blk_mq_start_request(started()), "started twice"],
  ])("%s", (_name, bug, message) => {
    expect(bug).toThrow();
    expect(kernel.log.join("\n")).toContain(message);
  });
});

describe("bios", () => {
  it("a bio that is put or ended once too often", () => {
    const twice = bio_alloc(test.disk.part0, 0, REQ_OP_READ, 0);
    twice.bi_end_io = () => undefined;
    bio_endio(twice);
    expect(() => bio_endio(twice)).toThrow();
    bio_put(twice);
    expect(() => bio_put(twice)).toThrow();
    expect(() => bio_endio(twice)).toThrow();
  });
});
