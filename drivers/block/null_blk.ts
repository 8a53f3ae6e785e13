/**
 * null_blk: disks that move no data, to measure and test everything above them (Linux drivers/block/null_blk).
 *
 *   queue_mode 0  bio based: submit_bio ends the bio
 *   queue_mode 2  blk-mq: queue_rq, then by irqmode: 0 at once, 1 from a softirq-like work, 2 by a timer of completion_nsec
 */
import { IS_ERR } from "xenolith/linux/err";
import { EINVAL } from "xenolith/linux/errno";
import { MODULE_DESCRIPTION, MODULE_LICENSE, module_exit, module_init, this_module } from "xenolith/linux/module";
import { MODULE_PARM_DESC, module_param_named } from "xenolith/linux/moduleparam";
import { pr_err, pr_info } from "xenolith/linux/printk";
import { HRTIMER_MODE_REL, HRTIMER_NORESTART, hrtimer, hrtimer_setup, hrtimer_start } from "xenolith/linux/timer";
import { ptr } from "xenolith/linux/types";
import { INIT_WORK, queue_work, system_highpri_wq, work_struct } from "xenolith/linux/workqueue";
import { bio_endio } from "xenolith/linux/bio";
import { BLK_STS_OK } from "xenolith/linux/blk_types";
import {
  add_disk,
  blk_alloc_disk,
  del_gendisk,
  put_disk,
  queue_limits,
  register_blkdev,
  set_capacity,
  unregister_blkdev,
} from "xenolith/linux/blkdev";
import {
  BLK_MQ_F_SHOULD_MERGE,
  blk_mq_alloc_disk,
  blk_mq_alloc_tag_set,
  blk_mq_complete_request,
  blk_mq_end_request,
  blk_mq_free_tag_set,
  blk_mq_rq_to_pdu,
  blk_mq_start_request,
  blk_mq_tag_set,
} from "xenolith/linux/blk-mq";
import type { bio, blk_status_t } from "xenolith/linux/blk_types";
import type { block_device_operations, gendisk } from "xenolith/linux/blkdev";
import type { blk_mq_hw_ctx, blk_mq_ops, blk_mq_queue_data, request } from "xenolith/linux/blk-mq";
import type { err_ptr } from "xenolith/linux/err";
import type { Sleeps } from "xenolith/linux/sched";

const NULL_Q_BIO = 0;
const NULL_Q_MQ = 2;
const NULL_IRQ_SOFTIRQ = 1;
const NULL_IRQ_TIMER = 2;

// Parameters, all unsigned and fixed at load. They are written out because the image's manifest is made from the source.

const nr_devices = ptr(1);
module_param_named("nr_devices", nr_devices, "uint", 0o444);
MODULE_PARM_DESC("nr_devices", "Number of devices to register. Default: 1");

const gb = ptr(250);
module_param_named("gb", gb, "uint", 0o444);
MODULE_PARM_DESC("gb", "Size in GB");

const bs = ptr(512);
module_param_named("bs", bs, "uint", 0o444);
MODULE_PARM_DESC("bs", "Block size (in bytes)");

export const queue_mode = ptr(NULL_Q_MQ);
module_param_named("queue_mode", queue_mode, "uint", 0o444);
MODULE_PARM_DESC("queue_mode", "Block interface to use (0=bio,2=multiqueue)");

export const irqmode = ptr(NULL_IRQ_SOFTIRQ);
module_param_named("irqmode", irqmode, "uint", 0o444);
MODULE_PARM_DESC("irqmode", "IRQ completion handler. 0-none, 1-softirq, 2-timer");

const submit_queues = ptr(1);
module_param_named("submit_queues", submit_queues, "uint", 0o444);
MODULE_PARM_DESC("submit_queues", "Number of submission queues");

const hw_queue_depth = ptr(64);
module_param_named("hw_queue_depth", hw_queue_depth, "uint", 0o444);
MODULE_PARM_DESC("hw_queue_depth", "Queue depth for each hardware queue. Default: 64");

export const completion_nsec = ptr(10000);
module_param_named("completion_nsec", completion_nsec, "uint", 0o444);
MODULE_PARM_DESC("completion_nsec", "Time in ns to complete a request in hardware. Default: 10,000ns");

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("multi queue aware block test driver");

/** One request's way to end later. */
class nullb_cmd {
  rq: request | null = null;
  readonly timer = new hrtimer(this);
  readonly work = new work_struct(this);

  constructor() {
    hrtimer_setup(this.timer, null_cmd_timer_expired);
    INIT_WORK(this.work, null_cmd_work);
  }
}

class nullb {
  readonly index: number;
  readonly disk: gendisk;
  readonly tag_set: blk_mq_tag_set | null;

  constructor(index: number, disk: gendisk, tag_set: blk_mq_tag_set | null) {
    this.index = index;
    this.disk = disk;
    this.tag_set = tag_set;
  }
}

const nullb_list: nullb[] = [];
let null_major = 0;

// Data path.

function null_complete(cmd: nullb_cmd): void {
  blk_mq_complete_request(cmd.rq as request);
}

function null_cmd_timer_expired(timer: hrtimer): number {
  null_complete(timer.container as nullb_cmd);
  return HRTIMER_NORESTART;
}

function null_cmd_work(work: work_struct): void {
  null_complete(work.container as nullb_cmd);
}

function null_queue_rq(_hctx: blk_mq_hw_ctx, bd: blk_mq_queue_data): blk_status_t {
  const rq = bd.rq;
  const cmd = blk_mq_rq_to_pdu<nullb_cmd>(rq);
  cmd.rq = rq;
  blk_mq_start_request(rq);
  if (irqmode.value === NULL_IRQ_TIMER) hrtimer_start(cmd.timer, completion_nsec.value, HRTIMER_MODE_REL);
  else if (irqmode.value === NULL_IRQ_SOFTIRQ) queue_work(system_highpri_wq, cmd.work);
  else null_complete(cmd);
  return BLK_STS_OK;
}

function null_complete_rq(rq: request): void {
  blk_mq_end_request(rq, BLK_STS_OK);
}

function null_submit_bio(bio: bio): void {
  bio_endio(bio);
}

const null_mq_ops: blk_mq_ops = { queue_rq: null_queue_rq, complete: null_complete_rq };
const null_rq_ops: block_device_operations = { owner: this_module() };
const null_bio_ops: block_device_operations = { owner: this_module(), submit_bio: null_submit_bio };

// Making and removing.

function null_validate_conf(): number {
  if (queue_mode.value !== NULL_Q_BIO && queue_mode.value !== NULL_Q_MQ) {
    pr_err("null_blk: legacy IO path is no longer available\n");
    return -EINVAL;
  }
  if (irqmode.value > NULL_IRQ_TIMER) return -EINVAL;
  return submit_queues.value === 0 || hw_queue_depth.value === 0 ? -EINVAL : 0;
}

function null_setup_tagset(): blk_mq_tag_set | err_ptr {
  const set = new blk_mq_tag_set();
  set.ops = null_mq_ops;
  set.nr_hw_queues = submit_queues.value;
  set.queue_depth = hw_queue_depth.value;
  set.cmd_size = () => new nullb_cmd();
  set.flags = BLK_MQ_F_SHOULD_MERGE;
  const error = blk_mq_alloc_tag_set(set);
  return error !== 0 ? error : set;
}

function null_alloc_disk(set: blk_mq_tag_set | null): gendisk | err_ptr {
  const lim = new queue_limits({ logical_block_size: bs.value, physical_block_size: bs.value, max_hw_sectors: 2560 });
  return set === null ? blk_alloc_disk(lim, -1) : blk_mq_alloc_disk(set, lim, null);
}

function* null_add_dev(index: number): Sleeps<number> {
  const set = queue_mode.value === NULL_Q_BIO ? null : null_setup_tagset();
  if (IS_ERR(set)) return set;
  const disk = null_alloc_disk(set);
  if (IS_ERR(disk)) {
    if (set !== null) blk_mq_free_tag_set(set);
    return disk;
  }
  disk.major = null_major;
  disk.first_minor = index;
  disk.minors = 1;
  disk.disk_name = `nullb${index}`;
  disk.fops = set === null ? null_bio_ops : null_rq_ops;
  set_capacity(disk, gb.value * 2 * 1024 * 1024);
  const error = yield* add_disk(disk);
  if (error === 0) nullb_list.push(new nullb(index, disk, set));
  else null_free(disk, set);
  return error;
}

function null_free(disk: gendisk, set: blk_mq_tag_set | null): void {
  put_disk(disk);
  if (set !== null) blk_mq_free_tag_set(set);
}

function* null_del_all(): Sleeps<void> {
  for (let dev = nullb_list.pop(); dev !== undefined; dev = nullb_list.pop()) {
    yield* del_gendisk(dev.disk);
    null_free(dev.disk, dev.tag_set);
  }
}

export function* null_init(): Sleeps<number> {
  let error = null_validate_conf();
  if (error !== 0) return error;
  null_major = register_blkdev(0, "nullb");
  if (null_major < 0) return null_major;
  for (let index = 0; index < nr_devices.value && error === 0; index++) error = yield* null_add_dev(index);
  if (error !== 0) {
    yield* null_del_all();
    unregister_blkdev(null_major, "nullb");
    return error;
  }
  pr_info("null_blk: module loaded\n");
  return 0;
}

export function* null_exit(): Sleeps<void> {
  yield* null_del_all();
  unregister_blkdev(null_major, "nullb");
}

module_init(null_init);
module_exit(null_exit);
