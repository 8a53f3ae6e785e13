/** The source checks: what the design's rules say that neither the compiler nor the linter can see. */
import {
  asyncCode,
  exactMath,
  guestGlobals,
  headerInstanceof,
  locale,
  pageViews,
  tryCatch,
  yieldInForOf,
} from "./bans";
import { hostNames, moduleState } from "./host";
import { barrels, bundleContents, defaultExports, headerNames, importCycles, importDirections } from "./imports";
import type { Check, Finding, Project } from "./project";
import { sleepsCallbacks, sleepsUsed } from "./sleeps";
import { declaredExists, declaredTypes, exportedOnce, statelessHeaders } from "./symbols";
import { bannedText, fileLength, topLevel } from "./texts";
import { abiConstants, wireOffsets } from "./wire";

/** Every check. */
export const CHECKS: readonly Check[] = [
  abiConstants,
  asyncCode,
  bannedText,
  barrels,
  bundleContents,
  declaredExists,
  declaredTypes,
  defaultExports,
  exactMath,
  exportedOnce,
  fileLength,
  guestGlobals,
  headerInstanceof,
  headerNames,
  hostNames,
  importCycles,
  importDirections,
  locale,
  moduleState,
  pageViews,
  sleepsCallbacks,
  sleepsUsed,
  statelessHeaders,
  topLevel,
  tryCatch,
  yieldInForOf,
  wireOffsets,
];

/** Runs checks over a project; findings in the order of their places. */
export function tidy(project: Project, checks: readonly Check[] = CHECKS): Finding[] {
  const findings = checks.flatMap((check) => [...check.run(project)]);
  return findings.sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1));
}

/** A finding as compilers write them. */
export function format({ file, line, check, message }: Finding): string {
  return `${file}${line > 0 ? `:${line}` : ""}: ${message} [${check}]`;
}
