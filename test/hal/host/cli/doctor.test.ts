import * as fs from "node:fs";
import pc from "picocolors";
import { expect, it } from "vitest";
import { doctor } from "../../../../hal/host/cli/doctor";
import type { CommandIo } from "../../../../hal/host/cli/io";
import { checkCache, checkNode, hostChecks } from "../../../../hal/host/doctor/checks";
import { defaultImagePath } from "../../../../hal/host/package-info";
import { scratchFolder, xenolith } from "./run";

const at = scratchFolder();

it("finds this host well, check by check", async () => {
  const { code, stdout, stderr } = await xenolith(["doctor"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  for (const { name } of hostChecks()) expect(stdout).toMatch(new RegExp(`^${name.replace(".", "\\.")} +ok +\\S`, "m"));
});

it("an image with one wrong byte: exit 1, the file and the remedy, as a table and as a document", async () => {
  const bytes = fs.readFileSync(defaultImagePath());
  bytes[bytes.length - 3000] ^= 1;
  fs.writeFileSync(at("bad.img"), bytes);
  const { code, stdout, stderr } = await xenolith(["doctor", "--image", at("bad.img")]);
  expect(stdout).toMatch(/^image +WRONG +\S/m);
  expect(stderr).toBe("xenolith: image: build it again: npm run build, or xenolith build\n");
  expect(code).toBe(1);
  const json = await xenolith(["doctor", "--image", at("none.img"), "--json"]);
  const document = JSON.parse(json.stdout) as { ok: boolean; checks: { name: string; ok: boolean }[] };
  expect([document.ok, json.code]).toEqual([false, 1]);
  expect(document.checks.filter(({ ok }) => !ok).map(({ name }) => name)).toEqual(["image"]);
});

it("a self-test that fails is named with what it said and what to do", async () => {
  const failing = hostChecks().map((check) => ({ ...check, look: () => "fine" }));
  failing[2].look = () => {
    throw new Error("engine self-test: memory is not shared without a copy");
  };
  let [stdout, stderr] = ["", ""];
  const common = { isTerminal: false, columns: 100, colours: pc.createColors(false) };
  const io: CommandIo = {
    stdout: { ...common, write: (text) => void (stdout += text) },
    stderr: { ...common, write: (text) => void (stderr += text) },
    exitCode: 0,
  };
  await doctor(failing, "table", io);
  expect(stdout).toMatch(/^engine self-test +WRONG +engine self-test: memory is not shared without a copy/m);
  expect(stderr).toMatch(/^xenolith: engine self-test: reinstall with npm ci.*--engine v8\n$/);
  expect(io.exitCode).toBe(1);
});

it("an old Node.js, and a cache folder that is a file", () => {
  expect(() => checkNode("20.18.3")).toThrow("20.18.3 is before 20.19");
  expect([checkNode("20.19.0"), checkNode("24.1.0")]).toEqual(["20.19.0", "24.1.0"]);
  fs.writeFileSync(at("file"), "");
  expect(() => checkCache(at("file"))).toThrow(/EEXIST|ENOTDIR/);
  expect(checkCache(null)).toBe("turned off");
});
