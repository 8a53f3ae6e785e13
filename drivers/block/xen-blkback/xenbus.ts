/**
 * xen-blkback's side of xenstore: finding the device, shaking hands with the front end, going apart again. Structured like
 * drivers/block/xen-blkback/xenbus.c of Linux 6.16.
 * tidy: one file as in Linux
 *
 *   probe ─► InitWait ─► (hotplug: physical-device ─► open) + (front end: Initialised ─► map rings) ─► Connected ─► threads
 *   front end Closed ─► disconnect ─► Closed ─► wait for a reconnect, or unregister when the toolstack wrote online = 0
 *
 * Every callback here runs on the xenwatch thread, one at a time. What the front end's directory says is read once, bounded, and then
 * used; a lie there is reported in the error node and ends in state Closing, with everything freed that was made for the connection.
 */
import {
  bdev_discard_alignment,
  bdev_discard_granularity,
  bdev_file_open_by_dev,
  bdev_fput,
  bdev_logical_block_size,
  bdev_max_discard_sectors,
  bdev_max_secure_erase_sectors,
  bdev_nr_sectors,
  bdev_physical_block_size,
  bdev_write_cache,
  file_bdev,
  GENHD_FL_REMOVABLE,
  invalidate_bdev,
  sync_blockdev,
} from "xenolith/linux/blkdev";
import { bio_put } from "xenolith/linux/bio";
import { BLK_OPEN_READ, BLK_OPEN_WRITE } from "xenolith/linux/blk_types";
import type { block_device } from "xenolith/linux/blk_types";
import {
  dev_get_drvdata,
  dev_set_drvdata,
  dev_warn,
  device_create_file,
  device_remove_file,
  device_unregister,
  DEVICE_ATTR_RO,
} from "xenolith/linux/device";
import type { device_attribute } from "xenolith/linux/device";
import { EAGAIN, EBUSY, EINVAL, EIO, ENOENT, ENOMEM, ENOSYS } from "xenolith/linux/errno";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import type { err_ptr } from "xenolith/linux/err";
import { jiffies, msecs_to_jiffies } from "xenolith/linux/jiffies";
import { WARN_ON } from "xenolith/linux/kernel";
import { kthread_run, kthread_stop } from "xenolith/linux/kthread";
import type { page } from "xenolith/linux/mm_types";
import {
  __module_get,
  MODULE_ALIAS,
  MODULE_DESCRIPTION,
  module_exit,
  module_init,
  MODULE_LICENSE,
  module_put,
  this_module,
} from "xenolith/linux/module";
import { MODULE_PARM_DESC, module_param_named } from "xenolith/linux/moduleparam";
import { kasprintf, pr_info, pr_warn } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { kstrtoul } from "xenolith/linux/string";
import { sysfs_create_group, sysfs_emit, sysfs_remove_group } from "xenolith/linux/sysfs";
import type { attribute_group } from "xenolith/linux/sysfs";
import { MKDEV, ptr } from "xenolith/linux/types";
import type { Ptr } from "xenolith/linux/types";
import { cancel_work_sync, INIT_WORK } from "xenolith/linux/workqueue";
import type { work_struct } from "xenolith/linux/workqueue";
import { bind_interdomain_evtchn_to_irqhandler_lateeoi, unbind_from_irqhandler } from "xenolith/xen/events";
import {
  gnttab_alloc_map_batch,
  gnttab_alloc_unmap_batch,
  gnttab_free_batch,
  gnttab_page_cache_init,
} from "xenolith/xen/grant_table";
import type { grant_ref_t, gnttab_unmap_batch } from "xenolith/xen/grant_table";
import { page_read32, XEN_PAGE_SIZE } from "xenolith/xen/page";
import {
  XBT_NIL,
  XENBUS_EXIST_ERR,
  XENBUS_MAX_RING_GRANT_ORDER,
  XenbusStateClosed,
  XenbusStateClosing,
  XenbusStateConnected,
  XenbusStateInitialised,
  XenbusStateInitialising,
  XenbusStateInitWait,
  XenbusStateUnknown,
  xenbus_dev_error,
  xenbus_dev_fatal,
  xenbus_driver,
  xenbus_map_ring_valloc,
  xenbus_printf,
  xenbus_read,
  xenbus_read_unsigned,
  xenbus_register_backend,
  xenbus_scanf,
  xenbus_switch_state,
  xenbus_transaction,
  xenbus_transaction_end,
  xenbus_transaction_start,
  xenbus_unmap_ring_vfree,
  xenbus_unregister_driver,
  xenbus_watch_pathfmt,
  unregister_xenbus_watch,
} from "xenolith/xen/xenbus";
import type { xenbus_device, xenbus_device_id, xenbus_state, xenbus_watch } from "xenolith/xen/xenbus";
import {
  BLKIF_MAX_SEGMENTS_PER_REQUEST,
  VDISK_CDROM,
  VDISK_READONLY,
  VDISK_REMOVABLE,
} from "xenolith/xen/interface/io/blkif";
import {
  XEN_IO_PROTO_ABI_NATIVE,
  XEN_IO_PROTO_ABI_X86_32,
  XEN_IO_PROTO_ABI_X86_64,
} from "xenolith/xen/interface/io/protocols";
import { BACK_RING_ATTACH, RING_SIZE, SRING_REQ_PROD_WORD, SRING_RSP_PROD_WORD } from "xenolith/xen/interface/io/ring";
import {
  backend_info,
  BLKIF_PROTOCOL_DEFAULT,
  BLKIF_PROTOCOL_NATIVE,
  BLKIF_PROTOCOL_X86_32,
  BLKIF_PROTOCOL_X86_64,
  MAX_INDIRECT_SEGMENTS,
  pending_req,
  XEN_BLKIF_REQS_PER_PAGE,
  xen_blkif,
  xen_blkif_put,
  xen_blkif_ring,
} from "./common";
import type { xen_vbd } from "./common";
import {
  pending_req_reserve,
  xen_blkback_max_queues,
  xen_blkbk_free_caches,
  xen_blkif_be_int,
  xen_blkif_max_ring_order,
  xen_blkif_schedule,
} from "./blkback";

const THIS_MODULE = this_module();

/** Milliseconds for which the page pools stay empty after the system ran short of memory. */
const buffer_squeeze_duration_ms = ptr(10);
module_param_named("buffer_squeeze_duration_ms", buffer_squeeze_duration_ms, "int", 0o644);
MODULE_PARM_DESC(
  "buffer_squeeze_duration_ms",
  "Duration in ms to squeeze pages buffer when a memory pressure is detected",
);

/** The thread's name without its ring: "DOMID.DEV", DEV without its "/dev/". An error when `dev` cannot be read. */
function* blkback_name(blkif: xen_blkif): Sleeps<string | err_ptr> {
  const devpath = yield* xenbus_read(XBT_NIL, (blkif.be as backend_info).dev.nodename, "dev", null);
  if (IS_ERR(devpath)) return devpath;
  const at = devpath.indexOf("/dev/");
  return kasprintf("%d.%s", blkif.domid, at < 0 ? devpath : devpath.slice(at + "/dev/".length));
}

/** Completes the connection once both halves are there: the rings from the front end, the device from the hotplug script. */
function* xen_update_blkif_status(blkif: xen_blkif): Sleeps<void> {
  const be = blkif.be as backend_info;
  if (blkif.rings === null || blkif.rings[0].irq === 0 || blkif.vbd.bdev === null) return;
  if (be.dev.state === XenbusStateConnected) return;
  yield* connect(be);
  if (be.dev.state !== XenbusStateConnected) return;

  const name = yield* blkback_name(blkif);
  if (IS_ERR(name)) {
    yield* xenbus_dev_error(be.dev, PTR_ERR(name), "get blkback dev name");
    return;
  }
  // What dom0 itself has cached of the device must neither hide the guest's writes nor overwrite them.
  const err = yield* sync_blockdev(blkif.vbd.bdev);
  if (err !== 0) {
    yield* xenbus_dev_error(be.dev, err, "block flush");
    return;
  }
  invalidate_bdev(blkif.vbd.bdev);
  yield* start_threads(blkif, name);
}

function* start_threads(blkif: xen_blkif, name: string): Sleeps<void> {
  const rings = blkif.rings as xen_blkif_ring[];
  for (let i = 0; i < rings.length; i++) {
    const task = kthread_run(xen_blkif_schedule, rings[i], "%s-%d", name, i);
    if (IS_ERR(task)) {
      yield* xenbus_dev_fatal((blkif.be as backend_info).dev, PTR_ERR(task), "start %s-%d xenblkd", name, i);
      while (--i >= 0) yield* stop_thread(rings[i]);
      return;
    }
    rings[i].xenblkd = task;
  }
}

/** Stops a ring's thread and waits for its end. Cleared here, not by the thread: it may never have run (XSA-350). */
function* stop_thread(ring: xen_blkif_ring): Sleeps<void> {
  const task = ring.xenblkd;
  if (task === null) return;
  ring.xenblkd = null;
  yield* kthread_stop(task);
}

function xen_blkif_alloc_rings(blkif: xen_blkif): void {
  const rings: xen_blkif_ring[] = [];
  for (let i = 0; i < blkif.nr_rings; i++) {
    const ring = new xen_blkif_ring(blkif);
    gnttab_page_cache_init(ring.free_pages);
    ring.active = true;
    rings.push(ring);
  }
  blkif.rings = rings;
}

function xen_blkif_alloc(domid: number): xen_blkif {
  const blkif = new xen_blkif(domid);
  INIT_WORK(blkif.free_work, xen_blkif_deferred_free);
  INIT_WORK(blkif.feature_work, xen_blkbk_write_refused_features);
  // Until the last request has ended there is code of ours to be run.
  __module_get(THIS_MODULE);
  return blkif;
}

/**
 * Maps the ring's pages and binds its event channel. 0; -ENOENT when a page cannot be mapped; -EIO when the indices in it are impossible; or
 * what binding says. Nothing is left behind after an error.
 */
function* xen_blkif_map(
  ring: xen_blkif_ring,
  gref: readonly grant_ref_t[],
  nr_grefs: number,
  evtchn: number,
): Sleeps<number> {
  if (ring.irq !== 0) return 0;
  const dev = (ring.blkif.be as backend_info).dev;
  const vaddr = ptr<page[] | null>(null);
  let err = yield* xenbus_map_ring_valloc(dev, gref, nr_grefs, vaddr);
  if (err < 0) return err;
  const pages = vaddr.value as page[];

  // A ring with history: the indices go on where the responses stopped.
  const rsp_prod = page_read32(pages[0], SRING_RSP_PROD_WORD);
  const req_prod = page_read32(pages[0], SRING_REQ_PROD_WORD);
  BACK_RING_ATTACH(ring.blk_rings, pages, rsp_prod, nr_grefs * XEN_PAGE_SIZE);
  ring.blk_ring = pages;

  err = -EIO;
  if ((req_prod - rsp_prod) >>> 0 <= RING_SIZE(ring.blk_rings)) {
    err = bind_interdomain_evtchn_to_irqhandler_lateeoi(dev, evtchn, xen_blkif_be_int, 0, "blkif-backend", ring);
    if (err >= 0) {
      ring.irq = err;
      return 0;
    }
  }
  yield* xen_blkif_unmap(ring);
  return err;
}

function* xen_blkif_unmap(ring: xen_blkif_ring): Sleeps<void> {
  if (ring.blk_ring === null) return;
  const pages = ring.blk_ring;
  ring.blk_ring = null;
  yield* xenbus_unmap_ring_vfree((ring.blkif.be as backend_info).dev, pages);
}

/**
 * Takes one ring apart. -EBUSY while requests are in flight: the thread is gone by then, and a later call finishes the job. May be called
 * again on a ring that is gone.
 */
function* xen_blkif_disconnect_ring(ring: xen_blkif_ring): Sleeps<number> {
  if (!ring.active) return 0;
  yield* stop_thread(ring);
  // No thread, so no new requests: the rest only gets less.
  if (ring.inflight > 0) return -EBUSY;
  if (ring.irq !== 0) {
    unbind_from_irqhandler(ring.irq, ring);
    ring.irq = 0;
  }
  yield* xen_blkif_unmap(ring);
  xen_blkbk_free_caches(ring);
  free_ring_memory(ring);
  ring.active = false;
  return 0;
}

/** Ends the connection of all rings. 0, or -EBUSY when requests are still in flight somewhere; the other rings are gone all the same. */
function* xen_blkif_disconnect(blkif: xen_blkif): Sleeps<number> {
  if (blkif.rings === null) return 0;
  let busy = false;
  for (const ring of blkif.rings) {
    if ((yield* xen_blkif_disconnect_ring(ring)) !== 0) busy = true;
  }
  if (busy) return -EBUSY;
  blkif.nr_ring_pages = 0;
  // Whoever reads statistics meanwhile sees all rings or none (CVE-2026-100082).
  blkif.rings = null;
  blkif.nr_rings = 0;
  return 0;
}

/** The last reference is gone, and with it the last request. */
function* xen_blkif_free(blkif: xen_blkif): Sleeps<void> {
  WARN_ON((yield* xen_blkif_disconnect(blkif)) !== 0);
  yield* xen_vbd_free(blkif.vbd);
  blkif.be = null;
  module_put(THIS_MODULE);
}

function* xen_blkif_deferred_free(work: work_struct): Sleeps<void> {
  yield* xen_blkif_free(work.container as xen_blkif);
}

// ---- sysfs interface for VBD I/O requests --------------------------------------------------------------------------------------------------

/** An attribute that shows the sum of one counter over the rings; 0 without rings. */
function VBD_SHOW_ALLRING(name: string, read: (ring: xen_blkif_ring) => number): device_attribute {
  return DEVICE_ATTR_RO(name, (dev, attr, buf) => {
    const rings = dev_get_drvdata<backend_info | null>(dev)?.blkif?.rings ?? [];
    let result = 0;
    for (const ring of rings) result += read(ring);
    return sysfs_emit(buf, "%llu\n", result);
  });
}

const xen_vbdstat_group: attribute_group = {
  name: "statistics",
  attrs: [
    VBD_SHOW_ALLRING("oo_req", (ring) => ring.st_oo_req),
    VBD_SHOW_ALLRING("rd_req", (ring) => ring.st_rd_req),
    VBD_SHOW_ALLRING("wr_req", (ring) => ring.st_wr_req),
    VBD_SHOW_ALLRING("f_req", (ring) => ring.st_f_req),
    VBD_SHOW_ALLRING("ds_req", (ring) => ring.st_ds_req),
    VBD_SHOW_ALLRING("rd_sect", (ring) => ring.st_rd_sect),
    VBD_SHOW_ALLRING("wr_sect", (ring) => ring.st_wr_sect),
  ],
};

/** "MAJ:MIN" of the real device, hexadecimal. */
const dev_attr_physical_device = DEVICE_ATTR_RO("physical_device", (dev, attr, buf) => {
  const be = dev_get_drvdata<backend_info | null>(dev);
  return sysfs_emit(buf, "%x:%x\n", be?.major ?? 0, be?.minor ?? 0);
});

/** "w" or "r". */
const dev_attr_mode = DEVICE_ATTR_RO("mode", (dev, attr, buf) =>
  sysfs_emit(buf, "%s\n", dev_get_drvdata<backend_info | null>(dev)?.mode ?? ""),
);

/** Adds the attributes: 0, or a negative errno with nothing left behind. */
function xenvbd_sysfs_addif(dev: xenbus_device): number {
  let error = device_create_file(dev.dev, dev_attr_physical_device);
  if (error !== 0) return error;
  error = device_create_file(dev.dev, dev_attr_mode);
  if (error === 0) {
    error = sysfs_create_group(dev.dev.kobj, xen_vbdstat_group);
    if (error === 0) return 0;
    device_remove_file(dev.dev, dev_attr_mode);
  }
  device_remove_file(dev.dev, dev_attr_physical_device);
  return error;
}

function xenvbd_sysfs_delif(dev: xenbus_device): void {
  sysfs_remove_group(dev.dev.kobj, xen_vbdstat_group);
  device_remove_file(dev.dev, dev_attr_mode);
  device_remove_file(dev.dev, dev_attr_physical_device);
}

// ---- the device ------------------------------------------------------------------------------------------------------------------------------

function* xen_vbd_free(vbd: xen_vbd): Sleeps<void> {
  const bdev_file = vbd.bdev_file;
  vbd.bdev_file = null;
  vbd.bdev = null;
  if (bdev_file !== null) yield* bdev_fput(bdev_file);
}

/** Opens the real device. 0, or -ENOENT when there is none. */
function* xen_vbd_create(
  blkif: xen_blkif,
  handle: number,
  major: number,
  minor: number,
  readonly: boolean,
  cdrom: boolean,
): Sleeps<number> {
  const vbd = blkif.vbd;
  vbd.handle = handle;
  vbd.readonly = readonly;
  vbd.type = 0;
  vbd.pdevice = MKDEV(major, minor);
  const bdev_file = yield* bdev_file_open_by_dev(vbd.pdevice, readonly ? BLK_OPEN_READ : BLK_OPEN_WRITE, null, null);
  if (IS_ERR(bdev_file)) {
    pr_warn("xen-blkback: xen_vbd_create: device %08x could not be opened\n", vbd.pdevice);
    return -ENOENT;
  }
  const bdev = file_bdev(bdev_file);
  vbd.bdev_file = bdev_file;
  vbd.bdev = bdev;
  vbd.size = bdev_nr_sectors(bdev);
  if (cdrom) vbd.type |= VDISK_CDROM;
  if ((bdev.bd_disk.flags & GENHD_FL_REMOVABLE) !== 0) vbd.type |= VDISK_REMOVABLE;
  vbd.flush_support = bdev_write_cache(bdev);
  vbd.discard_secure = bdev_max_secure_erase_sectors(bdev) !== 0;
  return 0;
}

function* xen_blkbk_remove(dev: xenbus_device): Sleeps<void> {
  const be = dev_get_drvdata<backend_info>(dev.dev);
  if (be.major !== 0 || be.minor !== 0) xenvbd_sysfs_delif(dev);
  if (be.backend_watch.node !== null) {
    yield* unregister_xenbus_watch(be.backend_watch);
    be.backend_watch.node = null;
  }
  dev_set_drvdata(dev.dev, null);
  const blkif = be.blkif;
  if (blkif === null) return;
  yield* cancel_work_sync(blkif.feature_work);
  yield* xen_blkif_disconnect(blkif);
  // The reference of xen_blkif_alloc. Requests in flight hold theirs.
  xen_blkif_put(blkif);
}

/** Tells the front end whether it may flush. Returns 0 or a negative errno, which is only logged. */
function* xen_blkbk_flush_diskcache(
  xbt: Readonly<xenbus_transaction>,
  be: backend_info,
  state: number,
): Sleeps<number> {
  const err = yield* xenbus_printf(xbt, be.dev.nodename, "feature-flush-cache", "%d", state);
  if (err !== 0) dev_warn(be.dev.dev, "writing feature-flush-cache (%d)", err);
  return err;
}

/** Tells the front end whether and how it may discard. Failures are only logged. */
function* xen_blkbk_discard(xbt: Readonly<xenbus_transaction>, be: backend_info): Sleeps<void> {
  const dev = be.dev;
  const vbd = (be.blkif as xen_blkif).vbd;
  const bdev = vbd.bdev as block_device;
  if ((yield* xenbus_read_unsigned(dev.nodename, "discard-enable", 1)) === 0) return;
  let state = 0;
  let err = 0;
  if (bdev_max_discard_sectors(bdev) !== 0) {
    err = yield* xenbus_printf(xbt, dev.nodename, "discard-granularity", "%u", bdev_discard_granularity(bdev));
    if (err !== 0) return dev_warn(dev.dev, "writing discard-granularity (%d)", err);
    err = yield* xenbus_printf(xbt, dev.nodename, "discard-alignment", "%u", bdev_discard_alignment(bdev));
    if (err !== 0) return dev_warn(dev.dev, "writing discard-alignment (%d)", err);
    state = 1;
    err = yield* xenbus_printf(xbt, dev.nodename, "discard-secure", "%d", vbd.discard_secure ? 1 : 0);
    if (err !== 0) return dev_warn(dev.dev, "writing discard-secure (%d)", err);
  }
  err = yield* xenbus_printf(xbt, dev.nodename, "feature-discard", "%d", state);
  if (err !== 0) dev_warn(dev.dev, "writing feature-discard (%d)", err);
}

/** Tells the front end whether it may send barriers. Returns 0 or a negative errno, which is only logged. */
function* xen_blkbk_barrier(xbt: Readonly<xenbus_transaction>, be: backend_info, state: number): Sleeps<number> {
  const err = yield* xenbus_printf(xbt, be.dev.nodename, "feature-barrier", "%d", state);
  if (err !== 0) dev_warn(be.dev.dev, "writing feature-barrier (%d)", err);
  return err;
}

/** The device refused a flush or a barrier: says so in xenstore. The completion that found out could not sleep. */
function* xen_blkbk_write_refused_features(work: work_struct): Sleeps<void> {
  const blkif = work.container as xen_blkif;
  if (blkif.be === null) return;
  if (blkif.flush_refused) yield* xen_blkbk_flush_diskcache(XBT_NIL, blkif.be, 0);
  if (blkif.barrier_refused) yield* xen_blkbk_barrier(XBT_NIL, blkif.be, 0);
}

/** A new vbd: publish what we can do and wait for the hotplug script and the front end. */
function* xen_blkbk_probe(dev: xenbus_device, _id: xenbus_device_id): Sleeps<number> {
  const be = new backend_info(dev);
  const blkif = xen_blkif_alloc(dev.otherend_id);
  be.blkif = blkif;
  blkif.be = be;
  dev_set_drvdata(dev.dev, be);
  const err = yield* publish_capabilities(be);
  if (err !== 0) yield* xen_blkbk_remove(dev);
  return err;
}

function* publish_capabilities(be: backend_info): Sleeps<number> {
  const dev = be.dev;
  let err = yield* xenbus_printf(XBT_NIL, dev.nodename, "feature-max-indirect-segments", "%u", MAX_INDIRECT_SEGMENTS);
  if (err !== 0) dev_warn(dev.dev, "writing %s/feature-max-indirect-segments (%d)", dev.nodename, err);
  err = yield* xenbus_printf(XBT_NIL, dev.nodename, "multi-queue-max-queues", "%u", xen_blkback_max_queues());
  if (err !== 0) pr_warn("xen-blkback: Error writing multi-queue-max-queues\n");
  err = yield* xenbus_watch_pathfmt(
    dev,
    be.backend_watch,
    null,
    backend_changed,
    "%s/%s",
    dev.nodename,
    "physical-device",
  );
  if (err !== 0) return err;
  err = yield* xenbus_printf(XBT_NIL, dev.nodename, "max-ring-page-order", "%u", xen_blkif_max_ring_order.value);
  if (err !== 0) pr_warn("xen-blkback: xen_blkbk_probe write out 'max-ring-page-order' failed\n");
  return yield* xenbus_switch_state(dev, XenbusStateInitWait);
}

/** physical-device may have been written: opens the device, once. */
function* backend_changed(watch: xenbus_watch, _path: string, _token: string): Sleeps<void> {
  const be = watch.container as backend_info;
  const dev = be.dev;
  const major = ptr(0);
  const minor = ptr(0);
  const err = yield* xenbus_scanf(XBT_NIL, dev.nodename, "physical-device", "%x:%x", major, minor);
  // The script has not run yet.
  if (XENBUS_EXIST_ERR(err)) return;
  if (err !== 2) {
    yield* xenbus_dev_fatal(dev, err, "reading physical-device");
    return;
  }
  if (be.major !== 0 || be.minor !== 0) {
    if (be.major !== major.value || be.minor !== minor.value) {
      pr_warn(
        "xen-blkback: changing physical device (from %x:%x to %x:%x) not supported.\n",
        be.major,
        be.minor,
        major.value,
        minor.value,
      );
    }
    return;
  }
  yield* attach_physical_device(be, major.value, minor.value);
}

function* attach_physical_device(be: backend_info, major: number, minor: number): Sleeps<void> {
  const dev = be.dev;
  const mode = yield* xenbus_read(XBT_NIL, dev.nodename, "mode", null);
  if (IS_ERR(mode)) {
    yield* xenbus_dev_fatal(dev, PTR_ERR(mode), "reading mode");
    return;
  }
  be.mode = mode;
  const device_type = yield* xenbus_read(XBT_NIL, dev.otherend, "device-type", null);
  const cdrom = !IS_ERR(device_type) && device_type === "cdrom";

  const handle = ptr(0);
  if (kstrtoul(dev.otherend.slice(dev.otherend.lastIndexOf("/") + 1), 0, handle) !== 0) {
    be.mode = null;
    return;
  }
  be.major = major;
  be.minor = minor;
  const blkif = be.blkif as xen_blkif;
  let err = yield* xen_vbd_create(blkif, handle.value, major, minor, !mode.includes("w"), cdrom);
  if (err !== 0) {
    yield* xenbus_dev_fatal(dev, err, "creating vbd structure");
  } else {
    err = xenvbd_sysfs_addif(dev);
    if (err !== 0) {
      yield* xen_vbd_free(blkif.vbd);
      yield* xenbus_dev_fatal(dev, err, "creating sysfs entries");
    }
  }
  if (err !== 0) {
    // The next write of the node tries again.
    be.mode = null;
    be.major = 0;
    be.minor = 0;
    return;
  }
  yield* xen_update_blkif_status(blkif);
}

/** The front end's state changed. Any state at any time: the answer to nonsense is state Closing. */
function* frontend_changed(dev: xenbus_device, frontend_state: xenbus_state): Sleeps<void> {
  const be = dev_get_drvdata<backend_info>(dev.dev);
  switch (frontend_state) {
    case XenbusStateInitialising:
      if (dev.state === XenbusStateClosed) {
        pr_info("xen-blkback: %s: prepare for reconnect\n", dev.nodename);
        yield* xenbus_switch_state(dev, XenbusStateInitWait);
      }
      break;
    case XenbusStateInitialised:
    case XenbusStateConnected:
      if (dev.state !== XenbusStateConnected) yield* frontend_ready(be);
      break;
    case XenbusStateClosing:
      // The front end may have I/O to finish: it is served until it is Closed.
      yield* xenbus_switch_state(dev, XenbusStateClosing);
      break;
    case XenbusStateClosed:
      yield* xen_blkif_disconnect(be.blkif as xen_blkif);
      yield* xenbus_switch_state(dev, XenbusStateClosed);
      if ((yield* xenbus_read_unsigned(dev.nodename, "online", 0)) !== 0) break;
      yield* device_unregister(dev.dev);
      break;
    case XenbusStateUnknown:
      // Its directory is gone. Removal disconnects.
      yield* device_unregister(dev.dev);
      break;
    default:
      yield* xenbus_dev_fatal(dev, -EINVAL, "saw state %d at frontend", frontend_state);
      break;
  }
}

/** The front end has made its rings. Whatever an earlier attempt left is taken apart first (CVE-2010-3699). */
function* frontend_ready(be: backend_info): Sleeps<void> {
  const blkif = be.blkif as xen_blkif;
  let err = yield* xen_blkif_disconnect(blkif);
  if (err !== 0) {
    yield* xenbus_dev_fatal(be.dev, err, "pending I/O");
    return;
  }
  err = yield* connect_ring(be);
  if (err !== 0) {
    yield* xen_blkif_disconnect(blkif);
    return;
  }
  yield* xen_update_blkif_status(blkif);
}

/** Memory is short: keep no pages for a while. The threads see to it. */
function* reclaim_memory(dev: xenbus_device): Sleeps<void> {
  const be = dev_get_drvdata<backend_info | null>(dev.dev);
  if (be === null || be.blkif === null) return;
  be.blkif.buffer_squeeze_end = jiffies() + msecs_to_jiffies(buffer_squeeze_duration_ms.value);
}

// ---- connection ----------------------------------------------------------------------------------------------------------------------------

/** Writes the device's properties and says Connected. Failures are reported; the state tells. */
function* connect(be: backend_info): Sleeps<void> {
  const dev = be.dev;
  const xbt = new xenbus_transaction();
  for (;;) {
    let err = yield* xenbus_transaction_start(xbt);
    if (err !== 0) {
      yield* xenbus_dev_fatal(dev, err, "starting transaction");
      return;
    }
    if (!(yield* write_properties(be, xbt))) {
      yield* xenbus_transaction_end(xbt, 1);
      return;
    }
    err = yield* xenbus_transaction_end(xbt, 0);
    if (err === -EAGAIN) continue;
    if (err !== 0) yield* xenbus_dev_fatal(dev, err, "ending transaction");
    break;
  }
  const err = yield* xenbus_switch_state(dev, XenbusStateConnected);
  if (err !== 0) yield* xenbus_dev_fatal(dev, err, "%s: switching to Connected state", dev.nodename);
}

/** Writes everything that the front end needs to know. False after a failure that has been reported. */
function* write_properties(be: backend_info, xbt: xenbus_transaction): Sleeps<boolean> {
  const dev = be.dev;
  const vbd = (be.blkif as xen_blkif).vbd;
  const bdev = vbd.bdev as block_device;
  const flush = vbd.flush_support ? 1 : 0;
  yield* xen_blkbk_flush_diskcache(xbt, be, flush);
  yield* xen_blkbk_discard(xbt, be);
  yield* xen_blkbk_barrier(xbt, be, flush);
  // Every grant is mapped and unmapped per request.
  if (!(yield* write_property(dev, xbt, "feature-persistent", "%u", 0))) return false;
  if (!(yield* write_property(dev, xbt, "sectors", "%llu", bdev_nr_sectors(bdev)))) return false;
  if (!(yield* write_property(dev, xbt, "info", "%u", vbd.type | (vbd.readonly ? VDISK_READONLY : 0)))) return false;
  if (!(yield* write_property(dev, xbt, "sector-size", "%lu", bdev_logical_block_size(bdev)))) return false;
  const err = yield* xenbus_printf(xbt, dev.nodename, "physical-sector-size", "%u", bdev_physical_block_size(bdev));
  if (err !== 0) yield* xenbus_dev_error(dev, err, "writing %s/physical-sector-size", dev.nodename);
  return true;
}

function* write_property(
  dev: xenbus_device,
  xbt: xenbus_transaction,
  name: string,
  fmt: string,
  value: number,
): Sleeps<boolean> {
  const err = yield* xenbus_printf(xbt, dev.nodename, name, fmt, value);
  if (err === 0) return true;
  yield* xenbus_dev_fatal(dev, err, "writing %s/%s", dev.nodename, name);
  return false;
}

/** Gives back what read_per_ring_refs allocated. All requests are free: none is in flight. */
function free_ring_memory(ring: xen_blkif_ring): void {
  for (let req = ring.pending_free; req !== null; req = req.free_list) {
    for (const item of req.gnttab_unmap_data) gnttab_free_batch(item.unmap_ops as gnttab_unmap_batch);
    if (req.bio !== null) bio_put(req.bio);
  }
  ring.pending_free = null;
  if (ring.map !== null) gnttab_free_batch(ring.map);
  if (ring.unmap !== null) gnttab_free_batch(ring.unmap);
  ring.map = null;
  ring.unmap = null;
}

/** Allocates a ring's requests: 32 for each of its pages, as many as it has slots. 0 or -ENOMEM, with nothing left behind. */
function alloc_ring_memory(ring: xen_blkif_ring, nr_grefs: number): number {
  ring.map = gnttab_alloc_map_batch();
  ring.unmap = gnttab_alloc_unmap_batch();
  if (ring.map === null || ring.unmap === null) {
    free_ring_memory(ring);
    return -ENOMEM;
  }
  for (let i = 0; i < nr_grefs * XEN_BLKIF_REQS_PER_PAGE; i++) {
    const req = new pending_req(ring);
    req.free_list = ring.pending_free;
    ring.pending_free = req;
    if (!pending_req_reserve(req, BLKIF_MAX_SEGMENTS_PER_REQUEST)) {
      free_ring_memory(ring);
      return -ENOMEM;
    }
  }
  return 0;
}

/** The grant references of a ring's pages, or -EINVAL when one is missing, which has been reported. */
function* read_ring_refs(ring: xen_blkif_ring, dir: string): Sleeps<grant_ref_t[] | err_ptr> {
  const blkif = ring.blkif;
  const grefs: grant_ref_t[] = [];
  for (let i = 0; i < blkif.nr_ring_pages; i++) {
    const name = blkif.multi_ref ? kasprintf("ring-ref%u", i) : "ring-ref";
    const gref = ptr(0);
    const err = yield* xenbus_scanf(XBT_NIL, dir, name, "%u", gref);
    if (err !== 1) {
      yield* xenbus_dev_fatal((blkif.be as backend_info).dev, -EINVAL, "reading %s/%s", dir, name);
      return -EINVAL;
    }
    grefs.push(gref.value);
  }
  return grefs;
}

/** Reads one ring's nodes in directory `dir` and maps it. 0, or a negative errno, reported, with nothing left behind. */
function* read_per_ring_refs(ring: xen_blkif_ring, dir: string): Sleeps<number> {
  const dev = (ring.blkif.be as backend_info).dev;
  const evtchn = ptr(0);
  if ((yield* xenbus_scanf(XBT_NIL, dir, "event-channel", "%u", evtchn)) !== 1) {
    yield* xenbus_dev_fatal(dev, -EINVAL, "reading %s/event-channel", dir);
    return -EINVAL;
  }
  const grefs = yield* read_ring_refs(ring, dir);
  if (IS_ERR(grefs)) return PTR_ERR(grefs);
  const err = alloc_ring_memory(ring, grefs.length);
  if (err !== 0) return err;
  const map_err = yield* xen_blkif_map(ring, grefs, grefs.length, evtchn.value);
  if (map_err !== 0) {
    free_ring_memory(ring);
    yield* xenbus_dev_fatal(dev, map_err, "mapping ring-ref port %u", evtchn.value);
  }
  return map_err;
}

/** The ABI that the front end asks for. `err` is what the scan of the node returned: errors about later nodes print it, as Linux does. */
function* read_protocol(be: backend_info, protocol: Ptr<string>): Sleeps<number> {
  const blkif = be.blkif as xen_blkif;
  blkif.blk_protocol = BLKIF_PROTOCOL_DEFAULT;
  const err = yield* xenbus_scanf(XBT_NIL, be.dev.otherend, "protocol", "%63s", protocol);
  if (err <= 0) protocol.value = "unspecified, assuming default";
  else if (protocol.value === XEN_IO_PROTO_ABI_NATIVE) blkif.blk_protocol = BLKIF_PROTOCOL_NATIVE;
  else if (protocol.value === XEN_IO_PROTO_ABI_X86_32) blkif.blk_protocol = BLKIF_PROTOCOL_X86_32;
  else if (protocol.value === XEN_IO_PROTO_ABI_X86_64) blkif.blk_protocol = BLKIF_PROTOCOL_X86_64;
  else blkif.blk_protocol = 0;
  return err;
}

/** How many pages each ring has, from ring-page-order. 0 or -EINVAL, reported. */
function* read_ring_page_order(be: backend_info): Sleeps<number> {
  const blkif = be.blkif as xen_blkif;
  const order = ptr(0);
  const err = yield* xenbus_scanf(XBT_NIL, be.dev.otherend, "ring-page-order", "%u", order);
  blkif.multi_ref = err === 1;
  if (!blkif.multi_ref) {
    blkif.nr_ring_pages = 1;
    return 0;
  }
  const order_max = xen_blkif_max_ring_order.value;
  if (order.value > order_max) {
    yield* xenbus_dev_fatal(be.dev, -EINVAL, "requested ring page order %d exceed max:%d", order.value, order_max);
    return -EINVAL;
  }
  blkif.nr_ring_pages = 1 << order.value;
  return 0;
}

/** Reads what the front end has written and maps its rings. 0 or a negative errno, reported; the caller disconnects then. */
function* connect_ring(be: backend_info): Sleeps<number> {
  const dev = be.dev;
  const blkif = be.blkif as xen_blkif;
  const protocol = ptr("");
  const scanned = yield* read_protocol(be, protocol);
  if (blkif.blk_protocol === 0) {
    yield* xenbus_dev_fatal(dev, scanned, "unknown fe protocol %s", protocol.value);
    return -ENOSYS;
  }
  // Read to keep the order of the handshake; grants are not kept whatever it says.
  yield* xenbus_read_unsigned(dev.otherend, "feature-persistent", 0);

  const requested_num_queues = yield* xenbus_read_unsigned(dev.otherend, "multi-queue-num-queues", 1);
  if (requested_num_queues === 0 || requested_num_queues > xen_blkback_max_queues()) {
    yield* xenbus_dev_fatal(
      dev,
      scanned,
      "guest requested %u queues, exceeding the maximum of %u.",
      requested_num_queues,
      xen_blkback_max_queues(),
    );
    return -ENOSYS;
  }
  blkif.nr_rings = requested_num_queues;
  xen_blkif_alloc_rings(blkif);
  pr_info(
    "xen-blkback: %s: using %d queues, protocol %d (%s)\n",
    dev.nodename,
    blkif.nr_rings,
    blkif.blk_protocol,
    protocol.value,
  );
  const err = yield* read_ring_page_order(be);
  if (err !== 0) return err;
  const rings = blkif.rings as xen_blkif_ring[];
  if (rings.length === 1) return yield* read_per_ring_refs(rings[0], dev.otherend);
  for (let i = 0; i < rings.length; i++) {
    const ring_err = yield* read_per_ring_refs(rings[i], kasprintf("%s/queue-%u", dev.otherend, i));
    if (ring_err !== 0) return ring_err;
  }
  return 0;
}

const xen_blkbk_driver = new xenbus_driver({
  ids: [{ devicetype: "vbd" }],
  allow_rebind: true,
  probe: xen_blkbk_probe,
  remove: xen_blkbk_remove,
  otherend_changed: frontend_changed,
  reclaim_memory,
});

// On Linux this ends blkback.c; here the file that imports the other one has it.

/** Brings the parameters into their bounds and registers the driver. 0 or a negative errno. */
function* xen_blkif_init(): Sleeps<number> {
  if (xen_blkif_max_ring_order.value > XENBUS_MAX_RING_GRANT_ORDER) {
    pr_info(
      "xen-blkback: Invalid max_ring_order (%d), will use default max: %d.\n",
      xen_blkif_max_ring_order.value,
      XENBUS_MAX_RING_GRANT_ORDER,
    );
    xen_blkif_max_ring_order.value = XENBUS_MAX_RING_GRANT_ORDER;
  }
  return yield* xenbus_register_backend(xen_blkbk_driver);
}

function* xen_blkif_fini(): Sleeps<void> {
  yield* xenbus_unregister_driver(xen_blkbk_driver);
}

module_init(xen_blkif_init);
module_exit(xen_blkif_fini);
MODULE_DESCRIPTION("Virtual block device back-end driver");
MODULE_LICENSE("MIT");
MODULE_ALIAS("xen-backend:vbd");
