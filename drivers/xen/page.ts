/**
 * Gives the accessors of shared memory to the rest of the kernel and to modules under the names of `xenolith/xen/page`.
 */
import { page_clear_bits32, page_cmpxchg32, page_set_bits32, page_xchg32 } from "../../hal/guest/atomic";
import {
  memcmp_page,
  memcpy_from_page,
  memcpy_page,
  memcpy_to_page,
  memset_page,
  page_read16,
  page_read32,
  page_read8,
  page_write16,
  page_write32,
  page_write8,
} from "../../hal/guest/page";
import { EXPORT_SYMBOL } from "xenolith/linux/export";

export { page_clear_bits32, page_cmpxchg32, page_set_bits32, page_xchg32 };
export { memcmp_page, memcpy_from_page, memcpy_page, memcpy_to_page, memset_page };
export { page_read16, page_read32, page_read8, page_write16, page_write32, page_write8 };

EXPORT_SYMBOL(page_read32);
EXPORT_SYMBOL(page_write32);
EXPORT_SYMBOL(page_read8);
EXPORT_SYMBOL(page_write8);
EXPORT_SYMBOL(page_read16);
EXPORT_SYMBOL(page_write16);
EXPORT_SYMBOL(memcpy_from_page);
EXPORT_SYMBOL(memcpy_to_page);
EXPORT_SYMBOL(memcpy_page);
EXPORT_SYMBOL(memset_page);
EXPORT_SYMBOL(memcmp_page);
EXPORT_SYMBOL(page_cmpxchg32);
EXPORT_SYMBOL(page_xchg32);
EXPORT_SYMBOL(page_clear_bits32);
EXPORT_SYMBOL(page_set_bits32);
