import * as fs from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { defaultImagePath } from "xenolith";
import { scratchFolder, xenolith } from "./run";

const at = scratchFolder();

/** Changes one byte of a copy of the package's image. */
function spoil(name: string, change: (bytes: Buffer) => Buffer): void {
  fs.writeFileSync(at(name), change(fs.readFileSync(defaultImagePath())));
}

function flip(bytes: Buffer, offset: number): Buffer {
  bytes[offset] ^= 1;
  return bytes;
}

/** The version is looked at before the manifest's hash. */
function otherVersion(bytes: Buffer): Buffer {
  const offset = bytes.indexOf('"version": 1');
  bytes.write('"version": 9', offset, "latin1");
  return bytes;
}

beforeAll(() => {
  fs.writeFileSync(at("good.img.disk"), Buffer.alloc(1 << 20));
  fs.writeFileSync(at("odd"), Buffer.alloc(1000));
  fs.writeFileSync(at("small"), Buffer.alloc(100));
  fs.writeFileSync(at("empty"), "");
  fs.writeFileSync(at("notes.txt"), "neither the one nor the other\n");
  fs.mkdirSync(at("folder"));
  fs.writeFileSync(at("broken.json"), '{"version": 1, "domains": [');
  fs.writeFileSync(at("two.json"), '{"version": 2, "domains": [{"name": "dom0"}]}');
  fs.writeFileSync(at("key.json"), '{"version": 1, "domains": [{"name": "dom0", "memroy": "16M"}]}');
  fs.writeFileSync(at("module.json"), '{"version": 1, "domains": [{"name": "dom0", "modules": ["xen-blkbak"]}]}');
  fs.writeFileSync(at("cost.json"), '{"version": 1, "costs": {"grantMpaNs": 1}, "domains": [{"name": "dom0"}]}');
  fs.writeFileSync(at("preset.json"), '{"version": 1, "costs": {"preset": "xne"}, "domains": [{"name": "dom0"}]}');
  fs.writeFileSync(at("cmdline.json"), '{"version": 1, "domains": [{"name": "dom0", "cmdline": "loglvel=7"}]}');
  fs.writeFileSync(at("machine.json"), '{"version": 1, "domains": [{"name": "dom0"}, {"name": "domU"}]}');
  spoil("flipped.img", (bytes) => flip(bytes, bytes.indexOf("release/kernel.js\0") + 4096));
  spoil("header.img", (bytes) => flip(bytes, 300));
  spoil("short.img", (bytes) => bytes.subarray(0, bytes.length >> 1));
  spoil("version.img", otherVersion);
});

/** What is written (`@NAME` is a file of the folder), the one line that comes back, and the exit code. */
type Case = readonly [line: string, message: RegExp, code: number];

const USAGE: readonly Case[] = [
  ["bot", /unknown command 'bot' \(Did you mean boot\?\)/, 2],
  ["boot --sed 1", /unknown option '--sed' \(Did you mean --seed\?\)/, 2],
  ["boot --frobnicate", /unknown option '--frobnicate'; see xenolith --help/, 2],
  ["boot --engine v9", /'--engine <name>' argument 'v9' is invalid\. Allowed choices are quickjs, v8\./, 2],
  ["boot --flavour debgu", /argument 'debgu' is invalid\. Allowed choices are debug, release\./, 2],
  ["boot --seed -1", /argument '-1' is invalid\. It must be a whole number from 0 to 4294967295\./, 2],
  ["boot --seed 4294967296", /argument '4294967296' is invalid\. It must be a whole number from 0 to/, 2],
  ["boot --blocks 0", /argument '0' is invalid\. It must be a whole number from 1 to 262144\./, 2],
  ["boot --depth 1.5", /argument '1\.5' is invalid\. It must be a whole number from 1 to 256\./, 2],
  ["boot --exec", /option '--exec <command>' argument missing/, 2],
  ["boot a b", /too many arguments for 'boot'/, 2],
  ["boot --domain domV", /there is no domain "domV" \(did you mean "dom."\?\)/, 2],
];

const PROGRAMS: readonly Case[] = [
  ["boot --exec lsbkl", /the image has no program "lsbkl" \(did you mean "lsblk"\?\)/, 2],
  ["boot --exec lsblk --exec frobnicate", /the image has no program "frobnicate" \(known: .*\blsblk\b.*\)/, 2],
  ["boot --exec _", /--exec "": names no program \(known: .*\bdd\b/, 2],
];

const APPEND: readonly Case[] = [
  ["boot --append quiet", /--append "quiet": write NAME=WORDS, such as domU=loglevel=7/, 2],
  ["boot --append domV=quiet", /there is no domain "domV" \(did you mean "dom."\?\)/, 2],
  [
    "boot --append domU=xen_blkfront.maxx=1",
    /--append domU: "xen_blkfront\.maxx=1": the module has no such parameter \(did you mean "xen_blkfront\.max"\?\)/,
    2,
  ],
  [
    "boot --append domU=xen_blkfront.max=many",
    /"xen_blkfront\.max=many": the value must be a whole number \(uint\)/,
    2,
  ],
  ["boot --append domU=xen_blkfront.trusted=perhaps", /"xen_blkfront\.trusted=perhaps": the value must be y or n/, 2],
  ["boot --append domU=xen_blkfrnt.max=1", /no module "xen_blkfrnt" \(did you mean "xen_blkfront"\?\)/, 2],
  ["boot --append domU=loglvel=7", /"loglvel=7": the kernel has no such parameter \(did you mean "loglevel="\?\)/, 2],
  ["boot --append domU=queit", /"queit": the kernel has no such parameter \(did you mean "quiet"\?\)/, 2],
  [
    `boot --append domU=--_${"x".repeat(1100)}`,
    /command line of domU has 1\d\d\d bytes; at most 1023 fit into start_info: shorten --append/,
    2,
  ],
];

const DISKS: readonly Case[] = [
  ["boot --disk @none", /disk .*none: no such file; make one, for instance: truncate -s 64M .*none/, 2],
  ["boot --disk @folder", /disk .*folder: is a directory; name a regular file/, 2],
  [
    "boot --disk @odd",
    /disk .*odd: its 1000 bytes are not a positive multiple of 512; the nearest are 512 and 1024/,
    2,
  ],
  ["boot --disk @small", /its 100 bytes are not a positive multiple of 512; the nearest is 512/, 2],
  ["boot --disk @empty", /its 0 bytes are not a positive multiple of 512; the nearest is 512/, 2],
  ["boot --disk _", /disk "": names no target/, 2],
  ["boot --disk @good.img.disk,rwa", /format "rwa" is unknown \(did you mean "raw"\?\)/, 2],
  ["boot --disk @good.img.disk,qcow2", /format qcow2 cannot be read here; convert the disk to raw first/, 2],
  ["boot --disk @good.img.disk,raw,zvda", /"zvda" is no device name; xvda to xvdz are/, 2],
  ["boot --disk @good.img.disk,raw,xvda,x", /access "x" is unknown \(known: r, ro, w, rw\)/, 2],
  ["boot --disk @good.img.disk,vdve=xvda", /key "vdve" is unknown \(did you mean "vdev"\?\)/, 2],
  ["boot --disk ram:lots", /"lots" is not a size; write a multiple of 4096 such as ram:64M/, 2],
  ["boot --disk ram:1M --disk ram:1M,raw,xvda", /xvda is attached already; name another device with vdev=/, 2],
  ["boot --disk ram:1M,raw,xvda,r", /xvda is attached read-only; the workload writes: use access w, or --exec/, 2],
  ["boot --disk null:1M", /is a null disk, which keeps nothing that could be verified; use a file or ram:64M/, 2],
  ["boot --disk ram:1M,backend=domV", /there is no domain "domV"/, 2],
];

const TARGETS: readonly Case[] = [
  ["boot @machin.json", /machin\.json: no such machine file or image \(did you mean ".*machine\.json"\?\)/, 2],
  ["boot @folder", /folder: is a directory; name a machine file or an image/, 2],
  ["boot @notes.txt", /notes\.txt: is neither a machine file \(JSON\) nor an image/, 2],
  ["boot @empty", /empty: is neither a machine file \(JSON\) nor an image/, 2],
  ["boot @broken.json", /machine file .*broken\.json: JSON: /, 2],
  ["boot @two.json", /machine file .*two\.json: version: is 2; this program reads 1/, 2],
  ["boot @key.json", /key\.json: domains\[0\]: key "memroy" is unknown \(did you mean "memory"\?\)/, 2],
  ["boot @module.json --exec lsblk", /the image has no module "xen-blkbak" \(did you mean "xen-blkback"\?\)/, 2],
  ["boot @cost.json", /cost\.json: costs: key "grantMpaNs" is unknown \(did you mean "grantMapNs"\?\)/, 2],
  ["boot @preset.json", /preset\.json: costs\.preset: "xne" is unknown \(did you mean "xen"\?\)/, 2],
  ["boot @cmdline.json", /command line of dom0: "loglvel=7".*\(did you mean "loglevel="\?\)/, 2],
  ["boot @machine.json", /domU has no disk for the workload; add --disk FILE, or run something with --exec/, 2],
  ["boot --image @none.img", /none\.img: no such file/, 3],
];

const IMAGES: readonly Case[] = [
  ["boot @flipped.img", /flipped\.img: corrupt: release\/kernel\.js has SHA-256 .*; build it again/, 3],
  ["boot @header.img", /header\.img: corrupt: bad header checksum at byte 0/, 3],
  ["boot @short.img", /short\.img: truncated: /, 3],
  ["boot @version.img", /version\.img: image format version 9, expected 1/, 3],
  ["inspect @short.img", /short\.img: truncated: /, 3],
  ["inspect --verify @flipped.img", /flipped\.img: corrupt: release\/kernel\.js has SHA-256/, 3],
  ["inspect @notes.txt", /notes\.txt: (truncated|not an image): /, 3],
  ["inspect @none.img", /none\.img: no such file/, 3],
  ["inspect @folder", /folder: is a directory, not an image/, 3],
];

const BUILD: readonly Case[] = [
  ["build --source @folder", /folder: holds no kernel\/main\.ts; name a source tree with --source/, 2],
  ["build -o @nowhere/x.img", /cannot write .*x\.img: there is no folder .*nowhere/, 2],
  ["build -o @folder", /cannot write .*folder: is a directory/, 2],
];

/** `@NAME` becomes a path, a lone `_` an empty word, and `--_` in a word the end of what the kernel takes. */
function words(line: string): string[] {
  return line.split(" ").map((word) => {
    if (word === "_") return "";
    return word.startsWith("@") ? at(word.slice(1)) : word.replace(/--_/, "-- ");
  });
}

describe.each([
  ["usage", USAGE],
  ["programs", PROGRAMS],
  ["kernel command lines", APPEND],
  ["disks", DISKS],
  ["targets", TARGETS],
  ["images", IMAGES],
  ["build", BUILD],
])("errors: %s", (_what, cases) => {
  it.each(cases)("%s", async (line, message, code) => {
    const ended = await xenolith(words(line));
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr, "one line").toMatch(/^xenolith: [^\n]*\n$/);
    expect(ended.code).toBe(code);
    if (code !== 3 || !line.startsWith("inspect")) expect(ended.stdout).toBe("");
  });
});

describe("errors", () => {
  it("a disk that may only be read is refused for writing, and taken for reading", async () => {
    const file = at("readonly");
    fs.writeFileSync(file, Buffer.alloc(1 << 16));
    fs.chmodSync(file, 0o444);
    // The superuser may write to anything.
    if (process.getuid?.() !== 0) {
      const refused = await xenolith(["boot", "--disk", file]);
      expect(refused.stderr).toMatch(/readonly: may only be read; attach it with access mode "r", or chmod u\+w it/);
      expect(refused.code).toBe(2);
    }
    const taken = await xenolith(["boot", "--disk", `${file},raw,xvda,r`, "--exec", "lsblk"]);
    expect(taken).toMatchObject({ code: 0, stdout: expect.stringMatching(/xvda .* 64K +1 disk/) as string });
  });

  it("no verb at all prints the help and is wrong usage", async () => {
    const { code, stderr } = await xenolith([]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/Usage: xenolith[^]*boot[^]*build[^]*inspect/);
  });

  it("asking for help or the version is right usage", async () => {
    expect(await xenolith(["boot", "--help"])).toMatchObject({ code: 0, stderr: "" });
    expect(await xenolith(["--version"])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
  });
});
