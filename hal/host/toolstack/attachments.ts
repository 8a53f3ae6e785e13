/**
 * The disks that are attached, and where each of them is on its way: what `xl` and its hotplug scripts do between a domain and xenstore.
 *
 *   attaching ── back end in InitWait, device there ──► hotplugged ── both Connected ──► connected
 *   detaching ── back end Closed ──► directories removed, host disk taken away ──► gone
 *
 * Everything is driven by watch events between slices, so the machine's trace alone decides when what happens.
 */
import type { Hypervisor } from "../hypervisor/hypervisor";
import type { HostConnection } from "../xenstored/host-connection";
import type { DiskSpec } from "./disk-spec";
import {
  type BackingDevice,
  type Vbd,
  backPath,
  createVbd,
  frontPath,
  hostdiskDevice,
  hotplugConnect,
  hotplugFail,
  readState,
  removeVbd,
  requestDetach,
} from "./vbd";

export type AttachmentPhase = "attaching" | "hotplugged" | "connected" | "detaching" | "gone";

/** One step of a connection: an end and the XenbusState that it reached. */
export interface StateStep {
  readonly at: number;
  readonly end: "front" | "back";
  readonly state: number;
}

/** One attached disk; plain data. */
export interface Attachment {
  /** Unique in the machine's life. */
  readonly serial: number;
  readonly vbd: Vbd;
  /** Index of the host disk in the hypervisor; -1 when the back end's domain has the device itself. */
  readonly diskIndex: number;
  /** What the disk is on the host: a file name, or "ram", "null". */
  readonly source: string;
  readonly spec: DiskSpec;
  phase: AttachmentPhase;
  fate: DiskFate;
  /** Why the hotplug script failed, or null. */
  problem: string | null;
  /** The first steps of both ends; a guest may change its state for ever. */
  readonly ladder: StateStep[];
}

/** All that there is to save; plain data. */
export interface AttachmentsState {
  /** Disks that are attached or on their way, oldest first. */
  list: Attachment[];
  nextSerial: number;
}

/** No disks. */
export function createAttachmentsState(): AttachmentsState {
  return { list: [], nextSerial: 1 };
}

/** What becomes of the host's disk when it is detached: closed, or left as it is for the domain that comes after. */
export type DiskFate = "close" | "keep";

/** Steps of a ladder that are kept. */
const LADDER_STEPS_MAX = 64;

/** XenbusState numbers. */
const INIT_WAIT = 2;
const CONNECTED = 4;
const CLOSED = 6;

/** Virtual time that dom0's host-disk driver gets to make a device of a new disk before the hotplug script names it, ns. */
const HOTPLUG_DELAY_NS = 2_000_000;
/** The queued event that runs the script. */
const EVENT_HOTPLUG = "toolstack-hotplug";

/** Finds out what block device a path names in a domain, and tells `onDevice` of the attachment `serial`. */
export type StatDevice = (domid: number, path: string, serial: number) => void;

/** All attachments of a machine. */
export class Attachments {
  constructor(
    private readonly hypervisor: Hypervisor,
    private readonly store: HostConnection,
    private readonly statDevice: StatDevice,
    /** Plain state, part of the machine's. */
    private current: AttachmentsState,
    /** Called when a host disk has no more use. */
    private readonly closeDisk: (diskIndex: number) => void,
  ) {
    hypervisor.on(EVENT_HOTPLUG, (event) => this.hotplug(event.arg));
  }

  get state(): AttachmentsState {
    return this.current;
  }

  /** Goes on from another state. Attachments that were handed out before belong to the past. */
  restore(state: AttachmentsState): void {
    this.current = state;
  }

  /** Disks that are attached or on their way, oldest first. */
  get list(): readonly Attachment[] {
    return this.state.list;
  }

  /** Writes the directories; the drivers do the rest. `diskIndex` is -1 when the back end's domain has the device itself. */
  attach(vbd: Vbd, spec: DiskSpec, diskIndex: number, source: string): Attachment {
    const serial = this.state.nextSerial++;
    const attachment: Attachment = {
      serial,
      vbd,
      diskIndex,
      source,
      spec,
      phase: "attaching",
      fate: "close",
      problem: null,
      ladder: [],
    };
    this.state.list.push(attachment);
    // As it was written, like libxl: a guest that sees where the host keeps its files would not be the same on every machine.
    createVbd(this.store, vbd, spec, spec.target || spec.backing);
    this.store.watch(`${frontPath(vbd)}/state`, `${serial} front`);
    this.store.watch(`${backPath(vbd)}/state`, `${serial} back`);
    return attachment;
  }

  /** Asks the drivers to let go; `phase` becomes "gone" when they have. */
  detach(attachment: Attachment, fate: DiskFate = "close"): void {
    attachment.phase = "detaching";
    attachment.fate = fate;
    requestDetach(this.store, attachment.vbd);
    this.advance(attachment);
  }

  /** Takes the disk away whatever the drivers say: what libxl does with --force, and after a domain's death. */
  drop(attachment: Attachment): void {
    if (attachment.phase === "gone") return;
    const { serial, vbd, diskIndex } = attachment;
    this.store.unwatch(`${frontPath(vbd)}/state`, `${serial} front`);
    this.store.unwatch(`${backPath(vbd)}/state`, `${serial} back`);
    attachment.phase = "gone";
    this.state.list = this.state.list.filter((other) => other !== attachment);
    removeVbd(this.store, vbd);
    if (diskIndex >= 0 && attachment.fate === "close") this.closeDisk(diskIndex);
  }

  /** The attachment of a device, or undefined. */
  find(frontDomid: number, vdev: number): Attachment | undefined {
    return this.list.find(({ vbd }) => vbd.frontDomid === frontDomid && vbd.vdev === vdev);
  }

  private bySerial(serial: number): Attachment | undefined {
    return this.list.find((attachment) => attachment.serial === serial);
  }

  /** A watch event on one of the state nodes. Returns the step of the ladder that it was, or null. */
  onStateChange(token: string): StateStep | null {
    const [serial, end] = token.split(" ");
    const attachment = this.bySerial(Number(serial));
    if (attachment === undefined) return null;
    const path = end === "front" ? frontPath(attachment.vbd) : backPath(attachment.vbd);
    const state = readState(this.store, path);
    const last = attachment.ladder.filter((step) => step.end === end).at(-1)?.state;
    const step = state === last ? null : { at: this.hypervisor.now, end: end as "front" | "back", state };
    if (step !== null && attachment.ladder.length < LADDER_STEPS_MAX) attachment.ladder.push(step);
    this.advance(attachment);
    return step;
  }

  private advance(attachment: Attachment): void {
    const { vbd } = attachment;
    const back = readState(this.store, backPath(vbd));
    if (attachment.phase === "attaching" && back === INIT_WAIT) {
      attachment.phase = "hotplugged";
      this.hypervisor.queue(this.hypervisor.now + HOTPLUG_DELAY_NS, EVENT_HOTPLUG, vbd.backDomid, attachment.serial);
    }
    const connected = back === CONNECTED && readState(this.store, frontPath(vbd)) === CONNECTED;
    if (attachment.phase === "hotplugged" && connected) attachment.phase = "connected";
    if (attachment.phase === "detaching" && back === CLOSED) this.drop(attachment);
  }

  private hotplug(serial: number): void {
    const attachment = this.bySerial(serial);
    if (attachment?.phase !== "hotplugged") return;
    const { vbd, diskIndex, spec } = attachment;
    if (diskIndex >= 0) return hotplugConnect(this.store, vbd, hostdiskDevice(diskIndex));
    this.statDevice(vbd.backDomid, spec.target, serial);
  }

  /** The answer to `StatDevice`. */
  onDevice(serial: number, device: BackingDevice | null): void {
    const attachment = this.bySerial(serial);
    if (attachment?.phase !== "hotplugged") return;
    const { vbd, spec } = attachment;
    if (device !== null) return hotplugConnect(this.store, vbd, device);
    attachment.problem = `domain ${vbd.backDomid} has no block device ${spec.target}`;
    hotplugFail(this.store, vbd, attachment.problem);
  }
}
