import * as fs from "node:fs";
import * as path from "node:path";
import { expect, it } from "vitest";
import { onEveryEngine } from "xenolith/kit";

type Tree = Readonly<Record<string, readonly [value: string, permissions: string]>>;

const file = path.resolve(import.meta.dirname, "../golden/linux/xenstore-snapshots.json");
const recorded = JSON.parse(fs.readFileSync(file, "utf8")) as Readonly<Record<string, Tree>>;
const FRONT = "/local/domain/1/device/vbd/51712";
const BACK = "/local/domain/0/backend/vbd/1/51712";
const LIBXL = "/libxl/1/device/vbd/51712";

/**
 * What is not as on the recorded machine, and why: node to [recorded, ours]. Everything else must be equal, permissions included.
 */
const DIFFERENCES: Readonly<Record<string, readonly [recorded: string, ours: string]>> = {
  // Another file, and a device of our own host-disk driver instead of a loop device.
  [`${BACK}/params`]: ["/srv/a.img", "ram"],
  [`${LIBXL}/params`]: ["/srv/a.img", "ram"],
  [`${BACK}/node`]: ["/dev/loop0", "/dev/hostdisk0"],
  [`${BACK}/physical-device`]: ["7:0", "f0:0"],
  [`${BACK}/physical-device-path`]: ["/dev/loop0", "/dev/hostdisk0"],
  // Our RAM disk discards as finely as its sectors are, and for good.
  [`${BACK}/discard-granularity`]: ["4096", "512"],
  [`${BACK}/discard-secure`]: ["0", "1"],
  // Persistent grants are not offered yet.
  [`${BACK}/feature-persistent`]: ["1", "0"],
  [`${FRONT}/feature-persistent`]: ["1", "0"],
  // Ports: a kernel with fewer channels of its own comes to lower numbers.
  [`${FRONT}/queue-0/event-channel`]: ["15", "7"],
  [`${FRONT}/queue-1/event-channel`]: ["16", "8"],
};

onEveryEngine("xenstore of a connected disk", ({ shared }) => {
  const machine = shared({ vcpus: 2, disks: ["ram:64M,raw,xvda,w,write-cache"] });

  /** Both ends' directories and the toolstack's copy, as the recording has them. */
  function ours(): Record<string, [string, string]> {
    const entries = [FRONT, BACK, LIBXL].flatMap((root) => machine().xenstore.entries(root));
    return Object.fromEntries(entries.map(({ path, value, permissions }) => [path, [value, permissions]]));
  }

  it("is the tree of the recorded two-domain boot, but for the listed differences", () => {
    const snapshot = recorded["domu/domu-default/2-connected.xenstore.txt"];
    const theirs = Object.entries(snapshot).filter(([path]) =>
      [FRONT, BACK, LIBXL].some((root) => path === root || path.startsWith(`${root}/`)),
    );
    const expected = Object.fromEntries(theirs.map(([path, entry]) => [path, [...entry]]));
    for (const [path, [old, now]] of Object.entries(DIFFERENCES)) {
      expect(expected[path][0], path).toBe(old);
      expected[path][0] = now;
    }
    expect(ours()).toEqual(expected);
  });
});
