/** The kernel's own parameters: what can be said on the command line without a dot. */
import { __setup } from "xenolith/linux/moduleparam";
import { kstrtouint } from "xenolith/linux/string";
import { ptr } from "xenolith/linux/types";
import { set_record_unmaps } from "../hal/guest/page";
import { add_device_randomness } from "./lib/random";
import { set_page_poison } from "./mm/page_alloc";
import { set_console_stacks } from "./printk/console";
import { set_console_loglevel } from "./printk/printk";

const CONSOLE_LOGLEVEL_QUIET = 4;
const CONSOLE_LOGLEVEL_DEFAULT = 7;
const CONSOLE_LOGLEVEL_DEBUG = 10;

function number_or(text: string, otherwise: number): number {
  const parsed = ptr(otherwise);
  kstrtouint(text, 0, parsed);
  return parsed.value;
}

/** A parameter without a value. */
function flag(name: string, action: () => void): void {
  __setup(name, () => {
    action();
    return 1;
  });
}

/** A parameter that is `on` or `off`. */
function on_off(prefix: string, action: (on: boolean) => void): void {
  __setup(prefix, (value) => {
    action(value === "on" || value === "1");
    return 1;
  });
}

/** Names them. Called before the command line is parsed. */
export function early_params(): void {
  flag("quiet", () => set_console_loglevel(CONSOLE_LOGLEVEL_QUIET, false));
  flag("debug", () => set_console_loglevel(CONSOLE_LOGLEVEL_DEBUG, true));
  flag("nostack", () => set_console_stacks(false));
  __setup("loglevel=", (value) => {
    set_console_loglevel(number_or(value, CONSOLE_LOGLEVEL_DEFAULT), false);
    return 1;
  });
  __setup("random.seed=", (value) => {
    add_device_randomness(number_or(value, 0));
    return 1;
  });
  on_off("page_owner=", set_record_unmaps);
  on_off("page_poison=", set_page_poison);
}
