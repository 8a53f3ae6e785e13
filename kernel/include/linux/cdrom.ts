/** The CD-ROM ioctls that block drivers answer. */

export const CDROMMULTISESSION = 0x5310;
export const CDROM_GET_CAPABILITY = 0x5331;

/** struct cdrom_multisession, as filled for CDROMMULTISESSION. */
export class cdrom_multisession {
  addr_lba = 0;
  xa_flag = 0;
  addr_format = 0;
}
