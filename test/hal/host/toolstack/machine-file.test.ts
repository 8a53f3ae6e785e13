import { describe, expect, it } from "vitest";
import { readFileSync } from "node:fs";
import { parseMachineFile, readMachineFile } from "../../../../hal/host/toolstack/machine-file";

const parse = (value: unknown) => parseMachineFile(JSON.stringify(value), "m.json");

describe("parseMachineFile", () => {
  it("fills in defaults", () => {
    const machine = parse({ version: 1, domains: [{ name: "dom0" }] });
    expect(machine).toMatchObject({ seed: 1, quantumNs: 2000, costs: {} });
    expect(machine.domains[0]).toEqual({
      name: "dom0",
      memoryBytes: 16 << 20,
      vcpus: 1,
      heapBytes: 64 << 20,
      cmdline: "",
      modules: [],
      disks: [],
    });
  });

  it("reads the default machine", () => {
    const file = "images/machines/default.json";
    expect(parseMachineFile(readFileSync(file, "utf8"), file).domains.map((d) => d.name)).toEqual(["dom0", "domU"]);
  });

  it("reads what becomes of a domain that ends", () => {
    const on = { on_poweroff: "preserve", on_reboot: "destroy", on_crash: "restart" };
    const { domains } = parse({ version: 1, domains: [{ name: "a" }, { name: "b", ...on }] });
    expect(domains[1]).toMatchObject({ onPoweroff: "preserve", onReboot: "destroy", onCrash: "restart" });
  });

  const bad: readonly [string, unknown, RegExp][] = [
    ["another version", { version: 2, domains: [{ name: "a" }] }, /version: is 2; this program reads 1/],
    ["an unknown key", { version: 1, domians: [], domains: [{ name: "a" }] }, /key "domians" is unknown.*"domains"/],
    ["an unknown domain key", { version: 1, domains: [{ name: "a", vcpu: 2 }] }, /domains\[0\]: key "vcpu".*"vcpus"/],
    ["no domains", { version: 1, domains: [] }, /domains: \[\] must NOT have fewer than 1/],
    ["too many vcpus", { version: 1, domains: [{ name: "a", vcpus: 9 }] }, /domains\[0\]\.vcpus: 9 must be <= 8/],
    ["a tiny memory", { version: 1, domains: [{ name: "a", memory: "4k" }] }, /domains\[0\]\.memory: "4k"/],
    ["two of a name", { version: 1, domains: [{ name: "a" }, { name: "a" }] }, /domains\[1\]\.name: "a" is taken/],
    [
      "an unknown action",
      { version: 1, domains: [{ name: "a" }, { name: "b", on_crash: "restrat" }] },
      /domains\[1\]\.on_crash: "restrat" is unknown \(did you mean "restart"\?\)/,
    ],
    [
      "an action of dom0",
      { version: 1, domains: [{ name: "a", on_reboot: "restart" }] },
      /domains\[0\]\.on_reboot: the machine ends with its first domain/,
    ],
    ["a bad name", { version: 1, domains: [{ name: "a b" }] }, /domains\[0\]\.name: "a b" must match pattern/],
  ];
  it.each(bad)("refuses %s and says where", (_what, value, reason) => {
    expect(() => parse(value)).toThrow(reason);
    expect(() => parse(value)).toThrow(/^machine file m\.json: /);
  });

  it("refuses text that is not JSON, and a file that is not there", () => {
    expect(() => parseMachineFile("{", "m.json")).toThrow(/m\.json: JSON/);
    expect(() => readMachineFile("no-such.json")).toThrow("machine file no-such.json: no such file");
  });
});
