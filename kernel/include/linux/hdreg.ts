/** Disk geometry, as asked by HDIO_GETGEO. */

export const HDIO_GETGEO = 0x0301;

/** struct hd_geometry. */
export class hd_geometry {
  heads = 0;
  sectors = 0;
  cylinders = 0;
  /** First sector of the partition. */
  start = 0;
}
