/**
 * Numbers and names of virtual block devices: the machine's ABI under its guest name. Linux keeps these rules inside xen-blkfront.
 */
export * from "../../../../../hal/abi/io/vbd";
