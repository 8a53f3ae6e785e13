/** A multi-queue disk whose driver does what a test tells it. */
import { add_disk, del_gendisk, type gendisk, put_disk, queue_limits, set_capacity } from "xenolith/linux/blkdev";
import {
  BLK_MQ_F_SHOULD_MERGE,
  blk_mq_alloc_disk,
  blk_mq_alloc_tag_set,
  blk_mq_end_request,
  blk_mq_free_tag_set,
  blk_mq_start_request,
  blk_mq_tag_set,
} from "xenolith/linux/blk-mq";
import type { blk_mq_hw_ctx, blk_mq_ops, blk_mq_queue_data, request } from "xenolith/linux/blk-mq";
import { BLK_STS_OK } from "xenolith/linux/blk_types";
import type { blk_status_t } from "xenolith/linux/blk_types";
import { GENHD_FL_NO_PART } from "xenolith/linux/blkdev";
import { bio_add_page, bio_alloc, bio_put, submit_bio_nowait } from "xenolith/linux/bio";
import { REQ_OP_READ } from "xenolith/linux/blk_types";
import type { bio } from "xenolith/linux/blk_types";
import { alloc_page, nr_allocated_pages } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import { expect } from "vitest";
import type { BareKernel } from "../../kit/bare-kernel";
import type { Sleeps } from "xenolith/linux/sched";

/** What the driver saw of one request. */
export interface Seen {
  readonly rq: request;
  readonly op: number;
  readonly flags: number;
  readonly sector: number;
  readonly sectors: number;
  readonly segments: number;
  readonly last: boolean;
  readonly hctx: number;
}

/** Fields of the tag set, and operations of the driver beside queue_rq. */
export type TestDiskOptions = Partial<
  Pick<blk_mq_tag_set, "nr_hw_queues" | "queue_depth" | "reserved_tags" | "cmd_size">
> &
  Pick<blk_mq_ops, "complete" | "timeout" | "queue_rqs">;

export class TestDisk {
  readonly set = new blk_mq_tag_set();
  /** Every request that was accepted, in order. */
  readonly seen: Seen[] = [];
  /** Accepted and not ended. */
  readonly held: request[] = [];
  /** What queue_rq answers next; BLK_STS_OK once it is empty. */
  readonly answers: blk_status_t[] = [];
  /** End requests inside queue_rq. */
  immediate = false;
  calls = 0;
  disk!: gendisk;

  /** Makes and registers the disk. */
  *add(name: string, limits: Partial<queue_limits> = {}, how: TestDiskOptions = {}): Sleeps<void> {
    const { complete, timeout, queue_rqs, ...fields } = how;
    this.set.ops = { queue_rq: (hctx, bd) => this.queueRq(hctx, bd), complete, timeout, queue_rqs };
    Object.assign(this.set, { nr_hw_queues: 1, queue_depth: 4, flags: BLK_MQ_F_SHOULD_MERGE }, fields);
    if (blk_mq_alloc_tag_set(this.set) !== 0) throw new Error("tag set");
    const disk = blk_mq_alloc_disk(this.set, new queue_limits({ max_hw_sectors: 1024, ...limits }), this);
    if (typeof disk === "number") throw new Error(`disk: ${disk}`);
    this.disk = disk;
    disk.disk_name = name;
    disk.flags |= GENHD_FL_NO_PART;
    set_capacity(disk, 1 << 20);
    const error = yield* add_disk(disk);
    if (error !== 0) throw new Error(`add_disk: ${error}`);
  }

  *remove(): Sleeps<void> {
    yield* del_gendisk(this.disk);
    put_disk(this.disk);
    blk_mq_free_tag_set(this.set);
  }

  private queueRq(hctx: blk_mq_hw_ctx, bd: blk_mq_queue_data): blk_status_t {
    this.calls++;
    const answer = this.answers.shift() ?? BLK_STS_OK;
    if (answer !== BLK_STS_OK) return answer;
    const rq = bd.rq;
    blk_mq_start_request(rq);
    this.seen.push({
      rq,
      op: rq.cmd_flags & 0xff,
      flags: rq.cmd_flags & ~0xff,
      sector: rq.__sector,
      sectors: rq.__data_len / 512,
      segments: rq.nr_phys_segments,
      last: bd.last,
      hctx: hctx.queue_num,
    });
    if (this.immediate) blk_mq_end_request(rq, BLK_STS_OK);
    else this.held.push(rq);
    return BLK_STS_OK;
  }

  /** Ends the oldest held request, or the one at `index`. */
  end(status: blk_status_t = BLK_STS_OK, index = 0): void {
    const [rq] = this.held.splice(index, 1);
    blk_mq_end_request(rq, status);
  }

  /** Ends everything held, and what comes of it. */
  endAll(): void {
    while (this.held.length > 0) this.end();
  }
}

/** A fresh TestDisk for each case, and bios of one page that note their ends. */
export class MqBench {
  disk = new TestDisk();
  /** [sector, status] of each bio that ended, in order. */
  ended: [number, number][] = [];
  private data: page | null = null;
  private names = 0;

  constructor(private readonly kernel: BareKernel) {}

  /** Forgets everything; called before each case. */
  reset(): void {
    this.disk = new TestDisk();
    this.ended = [];
    this.data ??= alloc_page(0);
  }

  /** A bio of one page that notes its end. */
  make(sector: number, opf = REQ_OP_READ, bytes = 4096): bio {
    const made = bio_alloc(this.disk.disk.part0, 1, opf, 0);
    made.bi_iter.bi_sector = sector;
    if (bytes > 0) bio_add_page(made, this.data as page, bytes, 0);
    made.bi_end_io = (b) => {
      this.ended.push([sector, b.bi_status]);
      bio_put(b);
    };
    return made;
  }

  submit(...bios: bio[]): boolean[] {
    return bios.map((b) => submit_bio_nowait(b));
  }

  /** Runs `body` with a fresh disk and takes it away afterwards; checks that nothing is left behind. */
  withDisk(body: () => void, limits: Partial<queue_limits> = {}, how: TestDiskOptions = {}): void {
    const pages = nr_allocated_pages();
    this.kernel.run(() => this.disk.add(`test${this.names++}x`, limits, how));
    body();
    this.disk.answers.length = 0;
    this.disk.immediate = true;
    this.disk.endAll();
    this.kernel.runUntilIdle();
    this.kernel.run(() => this.disk.remove());
    expect(nr_allocated_pages()).toBe(pages);
  }
}
