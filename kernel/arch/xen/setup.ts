/**
 * What the domain builder left for the kernel, and the first steps with it.
 *
 *   page 0 start_info · 1 shared_info · 2 xenstore ring · 3 console ring · 4..35 grant table · 36 scratch page · then free RAM
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import {
  MAX_GUEST_CMDLINE,
  SHARED_INFO_WC_NSEC,
  SHARED_INFO_WC_SEC,
  SHARED_INFO_WC_SEC_HI,
  START_INFO_CMD_LINE,
} from "../../../hal/abi/xen";
import { hal } from "../../../hal/guest/hal";
import { page_read32 } from "../../../hal/guest/page";
import { set_shared_info } from "../../irq/softirq";
import { mm_init, pfn_to_page } from "../../mm/page_alloc";
import { set_wall_clock } from "../../time/clock";
import { set_scratch_page } from "./hypercall";

export const START_INFO_PFN = 0;
export const SHARED_INFO_PFN = 1;
const SCRATCH_PFN = 36;
const FIRST_FREE_PFN = 37;

let command_line = "";

/** Reads start_info, finds shared_info, and gives RAM to the allocator. */
export function setup_arch(): void {
  set_scratch_page(SCRATCH_PFN);
  mm_init(FIRST_FREE_PFN);
  const shared_info = pfn_to_page(SHARED_INFO_PFN);
  set_shared_info(shared_info);
  command_line = read_command_line(hal.page(START_INFO_PFN));
  const seconds_high = page_read32(shared_info, SHARED_INFO_WC_SEC_HI >>> 2);
  const seconds = page_read32(shared_info, SHARED_INFO_WC_SEC >>> 2) + seconds_high * 0x100000000;
  set_wall_clock(seconds, page_read32(shared_info, SHARED_INFO_WC_NSEC >>> 2));
}

/** The text up to the first zero byte. */
function read_command_line(start_info: Uint32Array): string {
  let text = "";
  for (let i = 0; i < MAX_GUEST_CMDLINE; i++) {
    const at = START_INFO_CMD_LINE + i;
    const code = (start_info[at >>> 2] >>> ((at & 3) * 8)) & 0xff;
    if (code === 0) break;
    text += String.fromCharCode(code);
  }
  return text;
}

/** The kernel command line, as the toolstack gave it. */
export function saved_command_line(): string {
  return command_line;
}
EXPORT_SYMBOL(saved_command_line);
