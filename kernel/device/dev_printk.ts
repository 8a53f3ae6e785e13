/** Log messages that begin with the driver and the device: "vbd vbd-51712: ...". */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { dev_name, type device } from "xenolith/linux/device";
import { pr_debug_enabled, printk, vsnprintf } from "xenolith/linux/printk";

function dev_printk(level: number, dev: device, fmt: string, args: readonly unknown[]): void {
  const driver = dev.driver?.name ?? dev.bus?.name ?? dev.class?.name ?? "";
  printk(`\x01${level}%s %s: %s`, driver, dev_name(dev), vsnprintf(fmt, args));
}

export function dev_emerg(dev: device, fmt: string, ...args: unknown[]): void {
  dev_printk(0, dev, fmt, args);
}
EXPORT_SYMBOL(dev_emerg);

export function dev_alert(dev: device, fmt: string, ...args: unknown[]): void {
  dev_printk(1, dev, fmt, args);
}
EXPORT_SYMBOL(dev_alert);

export function dev_crit(dev: device, fmt: string, ...args: unknown[]): void {
  dev_printk(2, dev, fmt, args);
}
EXPORT_SYMBOL(dev_crit);

export function dev_err(dev: device, fmt: string, ...args: unknown[]): void {
  dev_printk(3, dev, fmt, args);
}
EXPORT_SYMBOL(dev_err);

export function dev_warn(dev: device, fmt: string, ...args: unknown[]): void {
  dev_printk(4, dev, fmt, args);
}
EXPORT_SYMBOL(dev_warn);

export function dev_notice(dev: device, fmt: string, ...args: unknown[]): void {
  dev_printk(5, dev, fmt, args);
}
EXPORT_SYMBOL(dev_notice);

export function dev_info(dev: device, fmt: string, ...args: unknown[]): void {
  dev_printk(6, dev, fmt, args);
}
EXPORT_SYMBOL(dev_info);

export function dev_dbg(dev: device, fmt: string, ...args: unknown[]): void {
  if (pr_debug_enabled()) dev_printk(7, dev, fmt, args);
}
EXPORT_SYMBOL(dev_dbg);
