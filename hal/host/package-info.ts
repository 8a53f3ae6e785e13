/** Where the package lies and which version it is. */
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

/** The folder that holds package.json: above this file, in a checkout and in dist alike. */
export function packageFolder(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!fs.existsSync(path.join(folder, "package.json"))) {
    const above = path.dirname(folder);
    if (above === folder) throw new Error("no package.json above the program");
    folder = above;
  }
  return folder;
}

/** The version in package.json. */
export function packageVersion(): string {
  const text = fs.readFileSync(path.join(packageFolder(), "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** What identifies this build of the program; "source" when it runs from its sources, which may be anything. */
export function buildId(): string {
  const folder = path.dirname(fileURLToPath(import.meta.url));
  const stamp = path.join(folder, ".stamp");
  return path.basename(folder) === "dist" && fs.existsSync(stamp) ? fs.readFileSync(stamp, "utf8") : "source";
}

/** The image that the package was built with. */
export function defaultImagePath(): string {
  return path.join(packageFolder(), "dist", "xenolith.img");
}
