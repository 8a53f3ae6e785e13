/** Where two pieces of plain JSON data differ. */

/** The first place that differs, as `domains[1].vcpus`, and what stands there, as JSON; "nothing" where there is nothing. */
export interface Difference {
  readonly path: string;
  readonly left: string;
  readonly right: string;
}

/** The first difference between two values in the order of their keys, or null when they are equal. */
export function firstDifference(left: unknown, right: unknown, path = ""): Difference | null {
  if (isComposite(left) && isComposite(right) && Array.isArray(left) === Array.isArray(right)) {
    const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
    for (const key of keys) {
      const below = Array.isArray(left) ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`;
      const found = firstDifference(left[key], right[key], below);
      if (found !== null) return found;
    }
    return null;
  }
  if (left === right) return null;
  return { path, left: textOf(left), right: textOf(right) };
}

function isComposite(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function textOf(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}
