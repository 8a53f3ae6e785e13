/** A disk of a test: data in an array, every request on record, and a driver that holds or fails requests when it is told to. */
import {
  BLK_FEAT_WRITE_CACHE,
  GENHD_FL_NO_PART,
  add_disk,
  del_gendisk,
  type gendisk,
  put_disk,
  queue_limits,
  set_capacity,
} from "xenolith/linux/blkdev";
import {
  BLK_MQ_F_SHOULD_MERGE,
  blk_mq_alloc_disk,
  blk_mq_alloc_tag_set,
  blk_mq_end_request,
  blk_mq_free_tag_set,
  blk_mq_start_request,
  blk_mq_tag_set,
  rq_for_each_segment,
  rq_next_segment,
  type request,
} from "xenolith/linux/blk-mq";
import { req_iterator } from "xenolith/linux/bio";
import {
  BLK_STS_IOERR,
  BLK_STS_OK,
  REQ_OP_DISCARD,
  REQ_OP_FLUSH,
  REQ_OP_MASK,
  REQ_OP_READ,
  REQ_OP_WRITE,
  REQ_OP_WRITE_ZEROES,
  type block_device,
} from "xenolith/linux/blk_types";
import type { Sleeps } from "xenolith/linux/sched";
import { memcpy_from_page, memcpy_to_page } from "xenolith/xen/page";

const NAMES: Readonly<Record<number, string>> = {
  [REQ_OP_READ]: "READ",
  [REQ_OP_WRITE]: "WRITE",
  [REQ_OP_FLUSH]: "FLUSH",
  [REQ_OP_DISCARD]: "DISCARD",
  [REQ_OP_WRITE_ZEROES]: "ZEROES",
};

export interface MemoryDiskOptions extends Partial<queue_limits> {
  /** Default 16 MiB. */
  readonly bytes?: number;
  readonly writeCache?: boolean;
}

export class MemoryDisk {
  readonly data: Uint8Array;
  /** `WRITE 88+11`: operation, first sector, sectors; FLUSH alone. In the order in which the driver got them. */
  readonly requests: string[] = [];
  /** Sectors that cannot be read or written. */
  readonly bad = new Set<number>();
  /** Keep requests until `release`. */
  holding = false;
  readonly held: request[] = [];
  /** Called at each flush, before it ends: for what goes wrong behind the guest's back. */
  onFlush: (() => void) | null = null;
  disk!: gendisk;
  private readonly set = new blk_mq_tag_set();

  constructor(readonly name: string, private readonly options: MemoryDiskOptions = {}) {
    this.data = new Uint8Array(options.bytes ?? 16 << 20);
  }

  get bdev(): block_device {
    return this.disk.part0;
  }

  /** Makes and registers the disk. */
  *add(): Sleeps<void> {
    const { bytes: _bytes, writeCache, ...limits } = this.options;
    this.set.ops = { queue_rq: (_hctx, bd) => this.queueRq(bd.rq) };
    Object.assign(this.set, { nr_hw_queues: 1, queue_depth: 32, flags: BLK_MQ_F_SHOULD_MERGE });
    if (blk_mq_alloc_tag_set(this.set) !== 0) throw new Error("tag set");
    const features = writeCache === true ? BLK_FEAT_WRITE_CACHE : 0;
    const disk = blk_mq_alloc_disk(
      this.set,
      new queue_limits({ max_hw_sectors: 88, max_segments: 11, max_segment_size: 4096, features, ...limits }),
      this,
    );
    if (typeof disk === "number") throw new Error(`disk: ${disk}`);
    this.disk = disk;
    disk.disk_name = this.name;
    disk.flags |= GENHD_FL_NO_PART;
    set_capacity(disk, this.data.length / 512);
    if ((yield* add_disk(disk)) !== 0) throw new Error("add_disk");
    this.requests.length = 0;
  }

  *remove(): Sleeps<void> {
    yield* del_gendisk(this.disk);
    put_disk(this.disk);
    blk_mq_free_tag_set(this.set);
  }

  /** What came since the last call. */
  take(): string[] {
    return this.requests.splice(0);
  }

  /** Ends everything held. */
  release(): void {
    this.holding = false;
    for (let rq = this.held.shift(); rq !== undefined; rq = this.held.shift()) this.end(rq);
  }

  private queueRq(rq: request): number {
    blk_mq_start_request(rq);
    this.requests.push(describe(rq));
    if (this.holding) this.held.push(rq);
    else this.end(rq);
    return BLK_STS_OK;
  }

  private end(rq: request): void {
    blk_mq_end_request(rq, this.transfer(rq) ? BLK_STS_OK : BLK_STS_IOERR);
  }

  private transfer(rq: request): boolean {
    const op = rq.cmd_flags & REQ_OP_MASK;
    const [first, count] = [rq.__sector, rq.__data_len / 512];
    if (op === REQ_OP_FLUSH) {
      this.onFlush?.();
      return true;
    }
    for (const sector of this.bad) if (sector >= first && sector < first + count) return false;
    if (op === REQ_OP_DISCARD || op === REQ_OP_WRITE_ZEROES) {
      this.data.fill(0, first * 512, (first + count) * 512);
      return true;
    }
    const iter = new req_iterator();
    rq_for_each_segment(rq, iter);
    while (rq_next_segment(iter)) {
      const { bv_page, bv_offset, bv_len } = iter.bvec;
      if (op === REQ_OP_READ) memcpy_to_page(bv_page, bv_offset, this.data, iter.bi_sector * 512, bv_len);
      else memcpy_from_page(this.data, iter.bi_sector * 512, bv_page, bv_offset, bv_len);
    }
    return true;
  }
}

function describe(rq: request): string {
  const name = NAMES[rq.cmd_flags & REQ_OP_MASK] ?? `OP${rq.cmd_flags & REQ_OP_MASK}`;
  if (name === "FLUSH") return name;
  const sectors = rq.__data_len / 512;
  return `${name} ${rq.__sector}+${sectors}`;
}
