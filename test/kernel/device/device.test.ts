import { beforeEach, expect, test } from "vitest";
import { msleep } from "xenolith/linux/delay";
import {
  bus_find_device,
  bus_register,
  bus_type,
  class_,
  class_register,
  dev_info,
  dev_name,
  dev_set_name,
  device,
  device_add,
  device_driver,
  device_initialize,
  device_shutdown,
  device_unregister,
  DEVICE_ATTR_RW,
  driver_register,
  driver_unregister,
  put_device,
} from "xenolith/linux/device";
import { EBUSY, EEXIST, ENODEV, EPROBE_DEFER } from "xenolith/linux/errno";
import { recent_uevents, type uevent } from "xenolith/linux/kobject";
import type { Sleeps } from "xenolith/linux/sched";
import { sysfs_emit, sysfs_lookup, sysfs_path, sysfs_read, sysfs_write, type sysfs_dirent } from "xenolith/linux/sysfs";
import { MKDEV } from "xenolith/linux/types";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel();
const log: string[] = [];
let probeResult: number[] = [];

const bus = new bus_type("toy");
bus.match = (dev, drv) => (dev_name(dev).startsWith(drv.name) ? 1 : 0);
const disks = new class_("disks");
bus_register(bus);
class_register(disks);

function* toyProbe(dev: device): Sleeps<number> {
  yield* msleep(1);
  log.push(`probe ${dev_name(dev)}`);
  return probeResult.shift() ?? 0;
}

function* toyRemove(dev: device): Sleeps<void> {
  yield* msleep(1);
  log.push(`remove ${dev_name(dev)}`);
}

function toyDriver(name: string): device_driver {
  const drv = new device_driver();
  drv.name = name;
  drv.bus = bus;
  drv.probe = toyProbe;
  drv.remove = toyRemove;
  drv.shutdown = function* (dev) {
    log.push(`shutdown ${dev_name(dev)}`);
  };
  return drv;
}

function add(name: string, parent: device | null = null): device {
  const dev = new device();
  device_initialize(dev);
  dev.bus = bus;
  dev.parent = parent;
  dev.release = () => void log.push(`release ${name}`);
  dev_set_name(dev, "%s", name);
  expect(kernel.run(() => device_add(dev))).toBe(0);
  return dev;
}

const node = (path: string): sysfs_dirent => sysfs_lookup(path, "nofollow") as sysfs_dirent;

beforeEach(() => {
  log.length = 0;
  probeResult = [];
});

test("driver and device meet whichever comes first, and part with remove before release", () => {
  const drv = toyDriver("vbd");
  const early = add("vbd-1");
  expect(kernel.run(() => driver_register(drv))).toBe(0);
  const late = add("vbd-2");
  const other = add("vif-1");
  expect(log).toEqual(["probe vbd-1", "probe vbd-2"]);
  expect(early.driver).toBe(drv);
  expect(other.driver).toBeNull();
  expect(sysfs_path(sysfs_lookup("/bus/toy/drivers/vbd/vbd-1") as sysfs_dirent)).toBe("/devices/vbd-1");
  expect(node("/devices/vbd-1/driver").target).toBe(node("/bus/toy/drivers/vbd"));
  expect(kernel.run(() => driver_register(toyDriver("vbd")))).toBe(-EBUSY);
  dev_info(early, "hello\n");
  expect(kernel.log.at(-1)).toMatch(/vbd vbd-1: hello/);
  kernel.run(() => device_unregister(late));
  kernel.run(() => driver_unregister(drv));
  expect(log.slice(2)).toEqual(["remove vbd-2", "release vbd-2", "remove vbd-1"]);
  expect(early.driver).toBeNull();
  kernel.run(() => device_unregister(early));
  kernel.run(() => device_unregister(other));
  expect(sysfs_lookup("/bus/toy/devices")?.children.size).toBe(0);
});

test("probe errors: -ENODEV is silent, others are logged, -EPROBE_DEFER comes again after the next success", () => {
  const drv = toyDriver("nic");
  kernel.run(() => driver_register(drv));
  const lines = kernel.log.length;
  probeResult = [-ENODEV];
  const a = add("nic-a");
  expect(kernel.log).toHaveLength(lines);
  probeResult = [-5];
  const b = add("nic-b");
  expect(kernel.log.at(-1)).toMatch(/nic: probe of nic-b failed with error -5/);
  probeResult = [-EPROBE_DEFER];
  const c = add("nic-c");
  expect(c.driver).toBeNull();
  const d = add("nic-d");
  kernel.runUntilIdle();
  expect(d.driver).toBe(drv);
  expect(c.driver).toBe(drv);
  kernel.run(() => driver_unregister(drv));
  for (const dev of [a, b, c, d]) kernel.run(() => device_unregister(dev));
});

test("bind and unbind: files of the driver", () => {
  const drv = toyDriver("usb");
  kernel.run(() => driver_register(drv));
  const dev = add("usb-1");
  const write = (file: string, text: string): number =>
    kernel.run(() => sysfs_write(node(`/bus/toy/drivers/usb/${file}`), text));
  expect(write("unbind", "usb-1\n")).toBe(6);
  expect(dev.driver).toBeNull();
  expect(write("unbind", "usb-1\n")).toBe(-ENODEV);
  expect(write("bind", "usb-1")).toBe(5);
  expect(dev.driver).toBe(drv);
  expect(write("bind", "usb-9")).toBe(-ENODEV);
  kernel.run(() => driver_unregister(drv));
  kernel.run(() => device_unregister(dev));
});

test("a class device: a directory of its class under its parent, links both ways, dev and uevent files, attributes", () => {
  const parent = add("ctl-1");
  let value = "one";
  const attr = DEVICE_ATTR_RW(
    "mode",
    (_dev, _attr, buf) => sysfs_emit(buf, "%s\n", value),
    (_dev, _attr, buf, count) => {
      value = buf.trim();
      return count;
    },
  );
  const disk = new device();
  device_initialize(disk);
  disk.class = disks;
  disk.parent = parent;
  disk.devt = MKDEV(202, 16);
  disk.groups = [{ name: "queue", attrs: [attr] }];
  dev_set_name(disk, "xvdb");
  expect(kernel.run(() => device_add(disk))).toBe(0);
  expect(sysfs_path(disk.kobj.sd as sysfs_dirent)).toBe("/devices/ctl-1/disks/xvdb");
  expect(sysfs_path(sysfs_lookup("/class/disks/xvdb") as sysfs_dirent)).toBe("/devices/ctl-1/disks/xvdb");
  expect(sysfs_read(node("/devices/ctl-1/disks/xvdb/dev"))).toBe("202:16\n");
  expect(kernel.run(() => sysfs_write(sysfs_lookup("/class/disks/xvdb/queue/mode") as sysfs_dirent, "two\n"))).toBe(4);
  expect(sysfs_read(sysfs_lookup("/class/disks/xvdb/queue/mode") as sysfs_dirent)).toBe("two\n");
  const event = recent_uevents().at(-1) as uevent;
  expect(event).toMatchObject({ action: "add", devpath: "/devices/ctl-1/disks/xvdb" });
  expect(event.env.slice(0, -1)).toEqual([
    "ACTION=add",
    "DEVPATH=/devices/ctl-1/disks/xvdb",
    "SUBSYSTEM=disks",
    "MAJOR=202",
    "MINOR=16",
    "DEVNAME=xvdb",
  ]);
  kernel.run(() => device_unregister(disk));
  expect(sysfs_lookup("/devices/ctl-1/disks")).toBeNull();
  expect(sysfs_lookup("/class/disks/xvdb")).toBeNull();
  kernel.run(() => device_unregister(parent));
  expect(log).toEqual(["release ctl-1"]);
});

test("device_add: a taken name is -EEXIST; the device can be put and is gone", () => {
  const dev = add("dup-1");
  const twin = new device();
  device_initialize(twin);
  twin.release = () => void log.push("release twin");
  dev_set_name(twin, "dup-1");
  expect(kernel.run(() => device_add(twin))).toBe(-EEXIST);
  put_device(twin);
  expect(log).toEqual(["release twin"]);
  const found = bus_find_device(bus, null, "dup-1", (candidate, name) => (dev_name(candidate) === name ? 1 : 0));
  expect(found).toBe(dev);
  put_device(dev);
  kernel.run(() => device_unregister(dev));
});

test("device_shutdown: the last registered first", () => {
  const drv = toyDriver("off");
  kernel.run(() => driver_register(drv));
  const devices = [add("off-1"), add("off-2")];
  log.length = 0;
  kernel.run(() => device_shutdown());
  expect(log).toEqual(["shutdown off-2", "shutdown off-1"]);
  kernel.run(() => driver_unregister(drv));
  for (const dev of devices) kernel.run(() => device_unregister(dev));
});
