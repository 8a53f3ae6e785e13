/**
 * Names of the ABIs that a ring can have, as they stand in xenstore's `protocol` (Xen public/io/protocols.h).
 */

export const XEN_IO_PROTO_ABI_X86_32 = "x86_32-abi";
export const XEN_IO_PROTO_ABI_X86_64 = "x86_64-abi";
export const XEN_IO_PROTO_ABI_ARM = "arm-abi";
export const XEN_IO_PROTO_ABI_NATIVE = "x86_64-abi";
