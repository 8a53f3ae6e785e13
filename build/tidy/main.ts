/** Runs the source checks over the project in a folder and prints what they find. */
import { projectAt } from "./project";
import { format, tidy } from "./tidy";

/** Returns the exit code: 0 when nothing was found, else 1. */
export function runTidy(root: string): number {
  const findings = tidy(projectAt(root));
  for (const finding of findings) process.stdout.write(`${format(finding)}\n`);
  return findings.length === 0 ? 0 : 1;
}
