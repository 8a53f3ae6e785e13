/**
 * The console's ring page (Xen public/io/console.h). The indices run freely.
 */
import { struct } from "../layout";

/** `in` is written by the back end, `out` by the guest. */
export const xencons_interface = /* @__PURE__ */ struct("xencons_interface", {
  size: 3088,
  align: 4,
  fields: {
    in: [0, 1024],
    out: [1024, 2048],
    in_cons: [3072, "u32"],
    in_prod: [3076, "u32"],
    out_cons: [3080, "u32"],
    out_prod: [3084, "u32"],
  },
});
export const XENCONS_INTERFACE_SIZE = 3088;
export const XENCONS_INTERFACE_IN = 0;
export const XENCONS_INTERFACE_OUT = 1024;
export const XENCONS_INTERFACE_IN_CONS = 3072;
export const XENCONS_INTERFACE_IN_PROD = 3076;
export const XENCONS_INTERFACE_OUT_CONS = 3080;
export const XENCONS_INTERFACE_OUT_PROD = 3084;

// Sizes of the two rings, bytes.
export const XENCONS_IN_SIZE = 1024;
export const XENCONS_OUT_SIZE = 2048;

/** Index into a ring of `size` bytes (a power of two) of a free-running index. */
export function MASK_XENCONS_IDX(idx: number, size: number): number {
  return idx & (size - 1);
}
