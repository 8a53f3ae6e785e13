/**
 * Character devices by major number (Linux fs/char_dev.c). Opening one whose driver is not there asks for the module that says
 * `MODULE_ALIAS("char-major-N")`, so that a driver may wait outside of memory until somebody opens its device.
 */
import { EBUSY, ENXIO } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import type { file_operations } from "xenolith/linux/fs";
import { request_module } from "xenolith/linux/module";
import { MAJOR } from "xenolith/linux/types";

interface char_device_struct {
  readonly name: string;
  readonly fops: file_operations;
}

const chrdevs = new Map<number, char_device_struct>();

export function register_chrdev(major: number, name: string, fops: file_operations): number {
  if (chrdevs.has(major)) return -EBUSY;
  chrdevs.set(major, { name, fops });
  return 0;
}
EXPORT_SYMBOL(register_chrdev);

export function unregister_chrdev(major: number, _name: string): void {
  chrdevs.delete(major);
}
EXPORT_SYMBOL(unregister_chrdev);

export function chrdev_majors(): { readonly major: number; readonly name: string }[] {
  return [...chrdevs].map(([major, { name }]) => ({ major, name })).sort((a, b) => a.major - b.major);
}
EXPORT_SYMBOL(chrdev_majors);

/** What a character device's inode does: finds the driver when it is opened. */
export const def_chr_fops: file_operations = {
  *open(node, opened) {
    const major = MAJOR(node.i_rdev);
    if (!chrdevs.has(major)) yield* request_module(`char-major-${major}`);
    const found = chrdevs.get(major);
    if (found === undefined) return -ENXIO;
    opened.f_op = found.fops;
    return found.fops.open === undefined ? 0 : yield* found.fops.open(node, opened);
  },
};
