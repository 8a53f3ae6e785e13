import { describe, expect, it } from "vitest";
import { vbd_identify, vbd_letters, vbd_number } from "../../../../hal/abi/io/vbd";
import { golden } from "../golden";

interface Row {
  vdevice: number;
  err: number;
  minor: number;
  nr_minors: number;
  offset: number;
  name: string;
}
const rows = golden<Row[]>("vdev-names.json");

it("vbd_identify: every number of vdev-names.json", () => {
  for (const { vdevice, err, minor, nr_minors, offset, name } of rows) {
    const expected = err === 0 ? { minor, nr_minors, offset, name } : null;
    expect(vbd_identify(vdevice), String(vdevice)).toEqual(expected);
  }
});

it("vbd_letters: base 26 without a zero", () => {
  expect([0, 25, 26, 701, 702, 2 ** 20 - 1].map(vbd_letters)).toEqual(["a", "z", "aa", "zz", "aaa", "bgqcv"]);
});

describe("vbd_number", () => {
  it("a disk that a guest would name so gets a number that names it so: all classic ones and some extended", () => {
    const offsets = [...Array(40).keys(), 701, 702, 18277, 2 ** 20 - 1];
    for (const offset of offsets) {
      for (const part of ["", "1", "15", "16", "255"]) {
        const name = `xvd${vbd_letters(offset)}${part}`;
        const number = vbd_number(name);
        expect(number, name).not.toBeNull();
        // An extended number's minor has 20 bits: Linux has room for disks to 4095.
        const expected = offset < 4096 ? name : undefined;
        expect(vbd_identify(number as number)?.name, name).toBe(expected);
      }
    }
  });

  it.each([
    ["xvda", 51712],
    ["xvdb", 51728],
    ["xvdp15", 51967],
    ["xvdq", 268439552],
    ["xvda16", 0x10000010],
    ["d0", 51712],
    ["d1p2", 51730],
    ["d16", 268439552],
    ["sda", 2048],
    ["sdp15", 2303],
    ["hda", 768],
    ["hdb1", 833],
    ["hdc", 5632],
    ["hdd63", 5759],
    ["51712", 51712],
    ["0xCA00", 51712],
    ["4294967295", 4294967295],
  ])("%s is %d", (name, number) => expect(vbd_number(name)).toBe(number));

  it.each([
    "",
    "xvd",
    "xvda0",
    "xvda01",
    "xvda256",
    "xvdA",
    "sdq",
    "sda16",
    "hde",
    "hda64",
    "vda",
    "d1048576",
    "d0p256",
  ])("%j is no device", (name) => expect(vbd_number(name)).toBeNull());

  it.each(["-1", "1.5", "0x", "1e3", "4294967296", " xvda", "xvda ", "/dev/xvda", "xvdzzzzz", "xvdaaaaaa"])(
    "%j is no device",
    (name) => expect(vbd_number(name)).toBeNull(),
  );
});
