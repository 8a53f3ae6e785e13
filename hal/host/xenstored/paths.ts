/**
 * Paths: what a client may write, and the one form in which the store keeps them ("canonical": absolute, without a trailing slash).
 */
import { XENSTORE_ABS_PATH_MAX, XENSTORE_REL_PATH_MAX } from "../../abi/xs_wire";
import { PATH_LENGTH_MAX } from "./limits";
import { SPECIAL_INTRODUCE, SPECIAL_RELEASE } from "./state";

const ABSOLUTE = /^\/(?:[-A-Za-z0-9_@]+(?:\/[-A-Za-z0-9_@]+)*)?$/;
const HOME = /^\/local\/domain\/[0-9]+\//;

/** Directory of a domain, under which its relative paths lie. */
export function domainPath(domid: number): string {
  return `/local/domain/${domid}`;
}

/**
 * The canonical form of a path that a client of `domid` named, or null for one that breaks the rules: a character outside of `A-Za-z0-9-/_@`, an
 * empty component, a trailing slash, the "@" of special names in front, or one that is too
 * long, as given or as an absolute path (facts 6.1).
 */
export function canonicalPath(given: string, domid: number): string | null {
  const absolute = given.startsWith("/");
  if (given === "" || given.startsWith("@")) return null;
  if (given.length > (absolute ? XENSTORE_ABS_PATH_MAX : XENSTORE_REL_PATH_MAX)) return null;
  const path = absolute ? given : `${domainPath(domid)}/${given}`;
  if (!ABSOLUTE.test(path)) return null;
  const home = HOME.exec(path);
  return path.length - (home === null ? 0 : home[0].length) > PATH_LENGTH_MAX ? null : path;
}

/** Whether the name is that of a special node, which can be watched and have permissions but is not part of the tree. */
export function isSpecial(given: string): boolean {
  return given === SPECIAL_INTRODUCE || given === SPECIAL_RELEASE;
}

/** The parent of a canonical path other than "/". */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
}

/** The last component of a canonical path other than "/". */
export function leafName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The path of the child `name`. */
export function childPath(path: string, name: string): string {
  return path === "/" ? `/${name}` : `${path}/${name}`;
}

/** Whether `path` is `top` or lies below it. */
export function isAtOrBelow(path: string, top: string): boolean {
  if (!path.startsWith(top)) return false;
  return path.length === top.length || top === "/" || path.charCodeAt(top.length) === 0x2f;
}
