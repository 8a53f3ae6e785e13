/**
 * Starting the grant tables, at the level that Linux does.
 */
import { core_initcall } from "xenolith/linux/init";
import { pr_err } from "xenolith/linux/printk";
import { gnttab_deferred_init } from "./grant-deferred";
import { gnttab_init } from "./grant-table";

function __gnttab_init(): number {
  gnttab_deferred_init();
  const err = gnttab_init();
  if (err !== 0) pr_err("xen/grant-table: cannot make the grant table: %d\n", err);
  return err;
}
core_initcall(__gnttab_init);
