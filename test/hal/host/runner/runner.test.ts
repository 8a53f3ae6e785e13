/** `xenolith boot` as a process: a thread that runs the machine, and one that outlives whatever that does. */
import * as fs from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { hostileImageBytes } from "../../../machine/hostile-image";
import { scratchFolder, xenolith } from "../cli/run";
import { runShell, runXenolith, startXenolith } from "./processes";

const at = scratchFolder();
const MACHINE = {
  version: 1,
  domains: [
    { name: "dom0", modules: ["hostdisk", "xen-blkback"] },
    { name: "web", modules: ["xen-blkfront"], disks: ["ram:1M,raw,xvda,w"] },
  ],
};

beforeAll(async () => {
  fs.writeFileSync(at("hostile.img"), await hostileImageBytes());
  fs.writeFileSync(at("machine.json"), JSON.stringify(MACHINE));
});

/** Boots the machine with the hostile module, and lets it do something. */
function hostile(how: string, ...more: string[]): string[] {
  return ["boot", "machine.json", "--image", "hostile.img", "-q", "--exec", `insmod hostile how=${how}`, ...more];
}

describe("boot in a thread of its own", () => {
  it("prints what it prints in the caller's thread, in the same order", async () => {
    const argv = ["boot", "--disk", "ram:1M", "--seed", "7", "--exec", "lsblk", "--exec", "cat /proc/nope"];
    const [inThread, inWorker] = [await xenolith(argv), await runXenolith(argv, at("."))];
    expect(inWorker).toMatchObject(inThread);
    expect(inWorker.code).toBe(1);
    const both = await runShell("xenolith boot --disk ram:1M --blocks 16 2>&1 >&1", at("."));
    expect(both.stdout).toMatch(/^\[ +0\.000000\] dom0[^]*\nverified: 16 blocks[^\n]*\n$/);
  });

  it("prints a whole document", async () => {
    const { code, stdout, stderr } = await runXenolith(
      ["boot", "--json", "--disk", "ram:1M", "--blocks", "16"],
      at("."),
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ engine: "quickjs", workload: { verified: true } });
  });

  it("ends with the codes of user errors", async () => {
    expect(await runXenolith(["boot", "--nope"], at("."))).toMatchObject({ code: 2, stdout: "" });
    expect(await runXenolith(["boot", "--watchdog", "-1"], at("."))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("whole number") as string,
    });
  });

  it.each(["SIGINT", "SIGTERM"] as const)(
    "%s ends it at once with 130, in the middle of a guest's work",
    async (signal) => {
      const { child, ended, shows } = startXenolith(["boot", "--disk", "ram:64M", "--blocks", "16000"], at("."));
      await shows("connected");
      child.kill(signal);
      const { code, stdout, stderr } = await ended;
      expect({ code, stderr }).toEqual({ code: 130, stderr: "" });
      expect(stdout).not.toContain("verified");
    },
  );

  it("ends quietly when nobody reads its output any more", async () => {
    const { code, stdout, stderr } = await runShell("xenolith boot --disk ram:1M --blocks 16 | head -1", at("."));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n")).toHaveLength(2);
  });

  it("loses nothing when its reader is slow", async () => {
    const command =
      "dd if=/dev/zero of=big bs=1024 count=1536 2>/dev/null; xenolith boot -q --disk big --exec 'cat /dev/xvda'";
    const { stdout } = await runShell(`${command} | (sleep 2; wc -c)`, at("."));
    expect(Number(stdout)).toBe(3 << 19);
  });

  it("says when the output cannot be written", async () => {
    const { code, stderr } = await runShell("xenolith boot -q --disk ram:1M --exec lsblk > /dev/full", at("."));
    expect(stderr).toMatch(/^xenolith: cannot write the output: ENOSPC.*\n$/);
    expect(code).toBe(2);
  });
});

describe("boot: a guest that nothing inside of the machine can stop", () => {
  it("quickjs: a builtin that never looks up: the watchdog ends it, and says who did not return", async () => {
    const { code, stdout, stderr } = await runXenolith(hostile("builtin", "--watchdog", "1"), at("."));
    expect(stderr).toMatch(/^xenolith: watchdog: web \(vCPU 0\) has run for 1 s without a pause.*\n$/);
    expect({ code, stdout }).toEqual({ code: 124, stdout: "" });
  });

  it("v8: a loop is ended by the watchdog", async () => {
    const { code, stderr } = await runXenolith(hostile("loop", "--watchdog", "1", "--engine", "v8"), at("."));
    expect(stderr).toMatch(/^xenolith: watchdog: web .*\n$/);
    expect(code).toBe(124);
  });

  it("v8: a builtin that even V8 cannot stop: the process is killed, with the watchdog's words", async () => {
    const argv = hostile("builtin", "--watchdog", "1", "--engine", "v8");
    const { code, signal, stderr } = await runXenolith(argv, at("."));
    expect(stderr).toMatch(/^xenolith: watchdog: web .*\n$/);
    expect({ code, signal }).toEqual({ code: null, signal: "SIGKILL" });
  });

  it("v8: an exhausted heap ends the thread, not the process", async () => {
    const small = { NODE_OPTIONS: "--max-old-space-size=150" };
    const { code, stdout, stderr } = await runXenolith(hostile("heap", "--engine", "v8"), at("."), small);
    expect(stderr).toMatch(/^xenolith: web has exhausted the JavaScript heap.*\n$/);
    expect({ code, stdout }).toEqual({ code: 255, stdout: "" });
  });
});
