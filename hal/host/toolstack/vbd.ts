/**
 * What the toolstack writes into xenstore for one virtual disk, in libxl's order (`xl block-attach`, `xl block-detach`, the hotplug script).
 *
 *   create ─► back end in InitWait ─► hotplug script writes physical-device ─► the two drivers connect
 *   detach ─► online 0, state Closing ─► front Closed ─► back Closed ─► directories removed
 *
 * Values that a guest can write are read as strings and compared, never used as paths or numbers of ours.
 */
import type { HostConnection, HostOperations } from "../xenstored/host-connection";
import type { DiskSpec } from "./disk-spec";

/** Block major of host disks in dom0, and minors of one disk. */
export const HOSTDISK_MAJOR = 240;
export const HOSTDISK_MINORS = 16;

/** Number and name of a virtual device. */
export interface VbdName {
  /** 51712 for xvda. */
  readonly vdev: number;
  /** xvda. */
  readonly name: string;
}

/** One virtual disk between two domains. */
export interface Vbd extends VbdName {
  readonly frontDomid: number;
  readonly backDomid: number;
}

export function frontPath(vbd: Vbd): string {
  return `/local/domain/${vbd.frontDomid}/device/vbd/${vbd.vdev}`;
}

export function backPath(vbd: Vbd): string {
  return `/local/domain/${vbd.backDomid}/backend/vbd/${vbd.frontDomid}/${vbd.vdev}`;
}

function libxlPath(vbd: Vbd): string {
  return `/libxl/${vbd.frontDomid}/device/vbd/${vbd.vdev}`;
}

function frontEntries(vbd: Vbd, spec: DiskSpec): [string, string][] {
  return [
    ["backend", backPath(vbd)],
    ["backend-id", String(vbd.backDomid)],
    ["state", "1"],
    ["virtual-device", String(vbd.vdev)],
    ["device-type", spec.devtype],
    ["trusted", spec.trusted ? "1" : "0"],
    ["protocol", "x86_64-abi"],
  ];
}

function backEntries(vbd: Vbd, spec: DiskSpec, params: string): [string, string][] {
  return [
    ["frontend", frontPath(vbd)],
    ["params", params],
    ["script", spec.script ?? "/etc/xen/scripts/block"],
    ["frontend-id", String(vbd.frontDomid)],
    ["online", "1"],
    ["removable", spec.removable ? "1" : "0"],
    ["bootable", "1"],
    ["state", "1"],
    ["dev", vbd.name],
    ["type", "phy"],
    ["mode", spec.access],
    ["device-type", spec.devtype],
    ["discard-enable", spec.discard === false ? "0" : "1"],
    ["specification", "xen"],
    ...(spec.directIoSafe ? ([["direct-io-safe", "1"]] as [string, string][]) : []),
  ];
}

/** Removes what is at `path`, makes it anew with these permissions and fills it. */
function writeDirectory(store: HostOperations, path: string, permissions: string[], entries: [string, string][]): void {
  store.rm(path);
  store.mkdir(path);
  store.setPerms(path, permissions);
  for (const [key, value] of entries) {
    store.write(`${path}/${key}`, value);
    store.setPerms(`${path}/${key}`, permissions);
  }
}

/** Writes both directories and the private copy in one transaction. `params` is what the disk is called on the host. */
export function createVbd(store: HostConnection, vbd: Vbd, spec: DiskSpec, params: string): void {
  const back = backEntries(vbd, spec, params);
  store.transaction((inside) => {
    const copy = libxlPath(vbd);
    const links: [string, string][] = [
      ["frontend", frontPath(vbd)],
      ["backend", backPath(vbd)],
    ];
    inside.rm(copy);
    for (const [key, value] of links) inside.write(`${copy}/${key}`, value);
    const frontPermissions = [`n${vbd.frontDomid}`, `r${vbd.backDomid}`];
    writeDirectory(inside, frontPath(vbd), frontPermissions, frontEntries(vbd, spec));
    writeDirectory(inside, backPath(vbd), [`n${vbd.backDomid}`, `r${vbd.frontDomid}`], back);
    for (const [key, value] of back.filter(([key]) => key !== "frontend")) inside.write(`${copy}/${key}`, value);
  });
}

/** A block device of the back end's domain. */
export interface BackingDevice {
  /** /dev/hostdisk0 */
  readonly path: string;
  readonly major: number;
  readonly minor: number;
}

/** The device that dom0's driver makes of host disk `index`. */
export function hostdiskDevice(index: number): BackingDevice {
  return { path: `/dev/hostdisk${index}`, major: HOSTDISK_MAJOR, minor: index * HOSTDISK_MINORS };
}

/** What the hotplug script writes once the device is there: MAJOR:MINOR in hex, then that it is connected. */
export function hotplugConnect(store: HostOperations, vbd: Vbd, device: BackingDevice): void {
  const path = backPath(vbd);
  store.write(`${path}/node`, device.path);
  store.write(`${path}/physical-device`, `${device.major.toString(16)}:${device.minor.toString(16)}`);
  store.write(`${path}/physical-device-path`, device.path);
  store.write(`${path}/hotplug-status`, "connected");
}

/** What it writes when there is no such device: the drivers never connect, and the toolstack says why. */
export function hotplugFail(store: HostOperations, vbd: Vbd, why: string): void {
  store.write(`${backPath(vbd)}/hotplug-error`, why);
  store.write(`${backPath(vbd)}/hotplug-status`, "error");
}

/** The XenbusState of one end: 0 when there is none to read. */
export function readState(store: HostOperations, path: string): number {
  const text = store.read(`${path}/state`);
  return text !== null && /^[0-8]$/.test(text) ? Number(text) : 0;
}

/** Asks both ends to close. */
export function requestDetach(store: HostConnection, vbd: Vbd): void {
  store.transaction((inside) => {
    const path = backPath(vbd);
    inside.write(`${path}/online`, "0");
    if (readState(inside, path) !== 6) inside.write(`${path}/state`, "5");
  });
}

/** Removes a directory, and those above it that are empty then (libxl__xs_path_cleanup). */
function cleanUp(store: HostOperations, path: string): void {
  store.rm(path);
  for (let at = path; ; ) {
    at = at.slice(0, at.lastIndexOf("/"));
    if (at === "" || store.directory(at)?.length !== 0) return;
    store.rm(at);
  }
}

/** Removes all that was written for the disk. */
export function removeVbd(store: HostConnection, vbd: Vbd): void {
  store.transaction((inside) => {
    cleanUp(inside, frontPath(vbd));
    cleanUp(inside, libxlPath(vbd));
    cleanUp(inside, backPath(vbd));
  });
}
