/** The toolstack's surroundings without guests: a real xenstored and a real hypervisor over plain memory, dom0 and domain 1 with their homes. */
import { XenStored } from "../../../../hal/host/xenstored/xenstored";
import type { HostConnection } from "../../../../hal/host/xenstored/host-connection";
import { parseDiskSpec, type DiskSpec } from "../../../../hal/host/toolstack/disk-spec";
import type { Vbd } from "../../../../hal/host/toolstack/vbd";
import { FakeMachine } from "../hypervisor/fake-machine";

export class ToolstackWorld {
  readonly machine = new FakeMachine();
  readonly xenstored: XenStored;
  readonly store: HostConnection;

  constructor() {
    const { memory } = this.machine;
    this.xenstored = new XenStored({ memory: () => memory, notify: () => undefined, trace: () => undefined });
    this.store = this.xenstored.connectHost();
    for (const domid of [0, 1]) {
      this.machine.add(domid);
      this.store.mkdir(`/local/domain/${domid}`);
      this.store.setPerms(`/local/domain/${domid}`, ["n0", `r${domid}`]);
    }
  }

  /** The subtree as the recordings have it: path to value and permissions. */
  tree(path: string): Record<string, [string, string]> {
    const entries = this.store.entries(path);
    return Object.fromEntries(entries.map((entry) => [entry.path, [entry.value, entry.permissions]]));
  }
}

export const VBD: Vbd = { vdev: 51712, name: "xvda", frontDomid: 1, backDomid: 0 };

export function spec(text = "a.img,raw,xvda,w"): DiskSpec {
  return parseDiskSpec(text);
}
