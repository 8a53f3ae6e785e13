/**
 * Boots a machine under V8 in this thread while a second one, in the part of a debugger, stops it at a line of a TypeScript file.
 *
 *   node --inspect=127.0.0.1:0 debugged-machine.mjs FILE LINE     prints where it stopped, innermost frame first, as JSON
 */
import { LEAST_UPPER_BOUND, TraceMap, generatedPositionFor, originalPositionFor } from "@jridgewell/trace-mapping";
import { once } from "node:events";
import { Session } from "node:inspector";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

if (isMainThread) await runMachine(process.argv[2], Number(process.argv[3]));
else debug(workerData.file, workerData.line);

async function runMachine(file, line) {
  const debuggerThread = new Worker(new URL(import.meta.url), { workerData: { file, line } });
  await once(debuggerThread, "message");
  const { Machine, defaultImagePath, parseMachineFile, readImage } = await import("../../../../dist/index.js");
  const text = JSON.stringify({
    version: 1,
    domains: [
      { name: "dom0", modules: ["hostdisk", "xen-blkback"] },
      { name: "domU", modules: ["xen-blkfront"], disks: ["ram:1M,raw,xvda,w"] },
    ],
  });
  const config = parseMachineFile(text, "debugged");
  const machine = await Machine.create({ image: readImage(defaultImagePath()), config, engine: "v8" });
  const isSet = once(debuggerThread, "message");
  machine.boot();
  await isSet;
  const { status } = machine.run("domU", "dd if=/dev/xvda of=/dev/null bs=4k count=1 iflag=direct");
  const stop = once(debuggerThread, "message");
  debuggerThread.postMessage("where did it stop?");
  const [frames] = await stop;
  process.stdout.write(`${JSON.stringify({ status, frames })}\n`);
  machine.dispose();
  await debuggerThread.terminate();
}

/** Waits for a script whose map names the file, sets the breakpoint, and reports the first stop. */
function debug(file, line) {
  const session = new Session();
  const maps = new Map();
  let stop = [];
  parentPort.on("message", () => {
    // A process does not end while a debugger is connected.
    session.disconnect();
    parentPort.postMessage(stop);
  });
  session.connectToMainThread();
  session.on("Debugger.scriptParsed", ({ params: { scriptId, sourceMapURL } }) => {
    const data = /^data:application\/json;base64,(.*)$/.exec(sourceMapURL ?? "");
    if (data === null) return;
    const map = new TraceMap(Buffer.from(data[1], "base64").toString("utf8"));
    maps.set(scriptId, map);
    const source = map.sources.find((candidate) => candidate?.startsWith("file:") && candidate.endsWith(`/${file}`));
    if (source === undefined) return;
    const place = generatedPositionFor(map, { source, line, column: 0, bias: LEAST_UPPER_BOUND });
    const location = { scriptId, lineNumber: place.line - 1, columnNumber: place.column };
    session.post("Debugger.setBreakpoint", { location }, () => parentPort.postMessage("set"));
  });
  session.on("Debugger.paused", ({ params: { callFrames, hitBreakpoints } }) => {
    stop = callFrames.map(({ functionName, location }) => {
      const map = maps.get(location.scriptId);
      if (map === undefined) return functionName;
      const found = originalPositionFor(map, { line: location.lineNumber + 1, column: location.columnNumber });
      return `${functionName} ${found.source}:${found.line}`;
    });
    for (const breakpointId of hitBreakpoints) session.post("Debugger.removeBreakpoint", { breakpointId });
    session.post("Debugger.resume");
  });
  session.post("Debugger.enable", () => parentPort.postMessage("ready"));
}
