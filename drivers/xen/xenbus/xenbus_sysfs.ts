/**
 * What a device of either bus shows in /sys.
 */
import { DEVICE_ATTR_RO, DEVICE_ATTR_RW, type device, type device_attribute } from "xenolith/linux/device";
import { kstrtouint } from "xenolith/linux/string";
import { sysfs_emit, type attribute_group, type sysfs_buf } from "xenolith/linux/sysfs";
import { ptr } from "xenolith/linux/types";
import { to_xenbus_device, type xenbus_device } from "xenolith/xen/xenbus";
import { xenbus_strstate } from "./xenbus_client";

function attribute(name: string, fmt: string, value: (dev: xenbus_device) => string | number): device_attribute {
  return DEVICE_ATTR_RO(name, (dev, _attr, buf) => sysfs_emit(buf, fmt, value(to_xenbus_device(dev))));
}

function spurious_threshold_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", to_xenbus_device(dev).spurious_threshold);
}

function spurious_threshold_store(dev: device, _attr: device_attribute, buf: string, count: number): number {
  const threshold = ptr(0);
  const err = kstrtouint(buf, 0, threshold);
  if (err !== 0) return err;
  to_xenbus_device(dev).spurious_threshold = threshold.value;
  return count;
}

/** The attributes of every device; `prefix` is the bus's part of the modalias. */
export function xenbus_dev_groups(prefix: string): readonly attribute_group[] {
  return [
    {
      attrs: [
        attribute("nodename", "%s\n", (dev) => dev.nodename),
        attribute("devtype", "%s\n", (dev) => dev.devicetype),
        attribute("modalias", `${prefix}:%s\n`, (dev) => dev.devicetype),
        attribute("state", "%s\n", (dev) => xenbus_strstate(dev.state)),
      ],
    },
    {
      name: "xenbus",
      attrs: [
        attribute("event_channels", "%d\n", (dev) => dev.event_channels),
        attribute("events", "%d\n", (dev) => dev.events),
        attribute("spurious_events", "%d\n", (dev) => dev.spurious_events),
        attribute("jiffies_eoi_delayed", "%d\n", (dev) => dev.jiffies_eoi_delayed),
        DEVICE_ATTR_RW("spurious_threshold", spurious_threshold_show, spurious_threshold_store),
      ],
    },
  ];
}
