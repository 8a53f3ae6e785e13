/**
 * Numbers and names of virtual block devices (the rules of xen-vbd-interface(7), and what Linux's front end makes of them).
 *
 *   202<<8 | disk<<4 | part   xvda to xvdp, parts to 15        1<<28 | disk<<8 | part   any xvd, parts to 255
 *     8<<8 | disk<<4 | part   sda to sdp                       3<<8, 22<<8 | ...<<6     hda to hdd
 *
 * A guest names its disk xvd-something whatever the number says.
 */

/** Major number of Xen's virtual disks. */
export const XENVBD_MAJOR = 202;
/** Minors of a disk: classic and extended numbers. */
export const PARTS_PER_DISK = 16;
export const PARTS_PER_EXT_DISK = 256;
const EXT_BIT = 1 << 28;
const MINORS = 1 << 20;
export const XEN_IDE0_MAJOR = 3;
export const XEN_IDE1_MAJOR = 22;
export const XEN_SCSI_DISK0_MAJOR = 8;
export const XEN_SCSI_DISK1_MAJOR = 65;
export const XEN_SCSI_DISK7_MAJOR = 71;
export const XEN_SCSI_DISK8_MAJOR = 128;
export const XEN_SCSI_DISK15_MAJOR = 135;

/** What a guest makes of a device number. */
export interface vbd_identity {
  /** First minor under XENVBD_MAJOR. */
  readonly minor: number;
  /** Minors taken: all of a disk, or 1 when the number means one partition. */
  readonly nr_minors: number;
  /** Which disk: 0 is xvda. */
  readonly offset: number;
  readonly name: string;
}

/** The minor under XENVBD_MAJOR of a classic device number, or -1 for a major that has none. */
function classic_minor(vdevice: number): number {
  const major = vdevice >>> 8;
  const minor = vdevice & 0xff;
  if (major === XEN_IDE0_MAJOR) return (minor >>> 6) * PARTS_PER_DISK;
  if (major === XEN_IDE1_MAJOR) return ((minor >>> 6) + 2) * PARTS_PER_DISK;
  if (major === XEN_SCSI_DISK0_MAJOR || major === XENVBD_MAJOR) return minor;
  if (major >= XEN_SCSI_DISK1_MAJOR && major <= XEN_SCSI_DISK7_MAJOR) {
    return minor + 256 * (major - XEN_SCSI_DISK1_MAJOR + 1);
  }
  if (major >= XEN_SCSI_DISK8_MAJOR && major <= XEN_SCSI_DISK15_MAJOR) {
    return minor + 256 * (major - XEN_SCSI_DISK8_MAJOR + 8);
  }
  return -1;
}

/** Letters of disk `offset`: a to z, aa, ab... */
export function vbd_letters(offset: number): string {
  const last = String.fromCharCode(97 + (offset % 26));
  return offset < 26 ? last : vbd_letters(Math.floor(offset / 26) - 1) + last;
}

/** What a guest makes of device number `vdevice` (u32), or null when it is none that Linux knows: -ENODEV then. */
export function vbd_identify(vdevice: number): vbd_identity | null {
  if (vdevice >>> 28 > 1) return null;
  const extended = (vdevice & EXT_BIT) !== 0;
  const parts = extended ? PARTS_PER_EXT_DISK : PARTS_PER_DISK;
  const minor = extended ? vdevice & ~EXT_BIT : classic_minor(vdevice);
  if (minor < 0 || minor >= MINORS) return null;
  const offset = Math.floor(minor / parts);
  const part = minor % parts;
  const name = `xvd${vbd_letters(offset)}`;
  if (part === 0) return { minor, nr_minors: parts, offset, name };
  return { minor, nr_minors: 1, offset, name: `${name}${part}` };
}

/**
 * The device number of a name as `xl` takes it: xvda, sdb1, hdc, d20p3, or the number itself (decimal, or hexadecimal after 0x). Null for
 * anything else, and for a disk or partition that the kind of name has no number for.
 */
export function vbd_number(name: string): number | null {
  const direct = /^(?:0[xX][0-9a-fA-F]+|[0-9]+)$/.test(name);
  if (direct) return Number(name) <= 0xffff_ffff ? Number(name) : null;
  const letters = /^(xvd|sd|hd)([a-z]{1,5})([1-9][0-9]{0,2})?$/.exec(name);
  if (letters !== null) return number_of(letters[1], disk_of(letters[2]), Number(letters[3] ?? 0));
  const digits = /^d([0-9]{1,7})(?:p([0-9]{1,3}))?$/.exec(name);
  return digits === null ? null : number_of("xvd", Number(digits[1]), Number(digits[2] ?? 0));
}

function disk_of(letters: string): number {
  let disk = 0;
  for (let i = 0; i < letters.length; i++) disk = disk * 26 + letters.charCodeAt(i) - 96;
  return disk - 1;
}

function number_of(kind: string, disk: number, part: number): number | null {
  if (kind === "hd") {
    if (disk > 3 || part > 63) return null;
    return ((disk < 2 ? XEN_IDE0_MAJOR : XEN_IDE1_MAJOR) << 8) | ((disk & 1) << 6) | part;
  }
  if (disk < 16 && part < 16) return ((kind === "sd" ? XEN_SCSI_DISK0_MAJOR : XENVBD_MAJOR) << 8) | (disk << 4) | part;
  if (kind === "sd" || disk >= 1 << 20 || part > 255) return null;
  return EXT_BIT | (disk << 8) | part;
}
