import { expect, test } from "vitest";
import {
  KERN_CONT,
  KERN_ERR,
  pr_cont,
  pr_debug,
  pr_err,
  pr_info,
  pr_warn_ratelimited,
  printk,
  printk_format,
  printk_read,
  type printk_record,
} from "xenolith/linux/printk";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel({ cmdline: "loglevel=7" });

function lastRecord(): printk_record {
  let record = printk_read(0) as printk_record;
  for (
    let next = printk_read(record.seq + 1);
    next !== null && next.seq > record.seq;
    next = printk_read(next.seq + 1)
  ) {
    record = next;
  }
  return record;
}

test("printk: level from the prefix, virtual time, one record per line, the console's text", () => {
  kernel.advance(1_234_567_890);
  printk(`${KERN_ERR}blkfront: %s: error %d\n`, "xvda", -5);
  const record = lastRecord();
  expect(record).toMatchObject({ level: 3, text: "blkfront: xvda: error -5" });
  expect(printk_format(record)).toBe("[    1.234567] blkfront: xvda: error -5");
  expect(kernel.log.at(-1)).toBe("<3>[    1.234567] blkfront: xvda: error -5");
});

test("printk: a line without its end waits for its continuation, or for the next message", () => {
  pr_info("first ");
  pr_cont("half");
  printk(`${KERN_CONT}, end\n`);
  expect(lastRecord()).toMatchObject({ level: 6, text: "first half, end" });
  pr_info("open");
  pr_err("other\n");
  expect(kernel.log.slice(-2).map((line) => line.replace(/\[.*\] /, ""))).toEqual(["<6>open", "<3>other"]);
});

test("loglevel: debug messages neither reach the console nor the log without `debug`", () => {
  const before = lastRecord().seq;
  pr_debug("quiet\n");
  expect(lastRecord().seq).toBe(before);
});

test("ratelimit: ten messages of a format in five seconds, then how many were suppressed", () => {
  const count = kernel.log.length;
  for (let i = 0; i < 15; i++) pr_warn_ratelimited("noise %d\n", i);
  expect(kernel.log.length - count).toBe(10);
  kernel.advance(6e9);
  pr_warn_ratelimited("noise %d\n", 99);
  expect(kernel.log.slice(-2).map((line) => line.replace(/.*\] /, ""))).toEqual(["5 callbacks suppressed", "noise 99"]);
});
