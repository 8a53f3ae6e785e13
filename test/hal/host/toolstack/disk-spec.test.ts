import { describe, expect, it } from "vitest";
import { parseDiskSpec, parseSize } from "../../../../hal/host/toolstack/disk-spec";

describe("parseDiskSpec", () => {
  const same = [
    "/srv/a.img,raw,xvda,w",
    "/srv/a.img, raw, xvda, rw",
    "/srv/a.img,,xvda",
    "/srv/a.img,vdev=xvda,access=w",
    "format=raw,vdev=xvda,access=rw,target=/srv/a.img",
    "vdev=xvda,target=/srv/a.img",
    "phy:/srv/a.img,raw,xvda,w",
    "file:/srv/a.img,raw,xvda,w",
    "tap:aio:/srv/a.img,raw,xvda,w",
  ];
  it.each(same)("%s means the same disk", (spec) => {
    expect(parseDiskSpec(spec)).toMatchObject({ backing: "file", target: "/srv/a.img", vdev: "xvda", access: "w" });
  });

  it("takes a target with commas and equals signs when target= comes last", () => {
    expect(parseDiskSpec("vdev=hda,target=/srv/a=b,c.img").target).toBe("/srv/a=b,c.img");
  });

  it("reads flags and extra keys", () => {
    const spec = parseDiskSpec(
      "a.iso,raw,hdc,ro,cdrom,no-discard,untrusted,sector-size=4096,no-write-cache,direct-io-safe",
    );
    expect(spec).toMatchObject({
      access: "r",
      devtype: "cdrom",
      removable: true,
      discard: false,
      trusted: false,
      logicalBlockSize: 4096,
      physicalBlockSize: 4096,
      writeCache: false,
      directIoSafe: true,
    });
  });

  it("reads built-in disks with their size", () => {
    expect(parseDiskSpec("ram:64M")).toMatchObject({ backing: "ram", sizeBytes: 64 << 20, vdev: null });
    expect(parseDiskSpec("null:1G,,xvdb,r")).toMatchObject({ backing: "null", sizeBytes: 2 ** 30, access: "r" });
  });

  const bad: readonly [string, RegExp][] = [
    ["", /names no target/],
    ["vdev=xvda", /names no target/],
    ["a.img,qcow2,xvda", /format qcow2 cannot be read here/],
    ["a.img,rwa,xvda", /format "rwa" is unknown \(did you mean "raw"\?\)/],
    ["a.img,raw,xvda,x", /access "x" is unknown/],
    ["a.img,raw,xvda,w,discrad", /"discrad" is unknown \(did you mean "discard"\?\)/],
    ["a.img,vdve=xvda", /key "vdve" is unknown \(did you mean "vdev"\?\)/],
    ["ram:64", /"64" is not a size/],
    ["ram:x", /"x" is not a size/],
    ["a.img,sector-size=1000", /sector-size must be 512 or 4096/],
    ["a.img,backendtype=qdisk", /backendtype "qdisk"/],
    ["a.img,devtype=floppy", /devtype "floppy" is unknown/],
  ];
  it.each(bad)("%s is refused with a reason", (spec, reason) => {
    expect(() => parseDiskSpec(spec)).toThrow(reason);
    expect(() => parseDiskSpec(spec)).toThrow(`"${spec}"`);
  });
});

describe("parseSize", () => {
  it.each([
    ["512", 512],
    ["4k", 4096],
    ["64MiB", 64 << 20],
    ["1gb", 2 ** 30],
    ["-1", null],
    ["1.5M", null],
    ["99999999999T", null],
  ])("%s is %s bytes", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
});
