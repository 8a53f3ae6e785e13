/** What the image's manifest says of a module, loaded or not: the `.modinfo` section of a module file. */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import type { module_info } from "xenolith/linux/module";
import { hal } from "../../hal/guest/hal";
import { canonical_name } from "../params";

const NOTHING: module_info = {
  name: "",
  license: "",
  description: "",
  version: "",
  authors: [],
  aliases: [],
  softdep: [],
  depends: [],
  params: [],
};

export function modinfo(name: string): module_info | null {
  const wanted = canonical_name(name);
  const bundle = hal.list("modules").find((candidate) => canonical_name(candidate) === wanted);
  if (bundle === undefined) return null;
  const text = hal.manifest("modules", bundle);
  const parsed = (text === null ? {} : JSON.parse(text)) as Partial<module_info>;
  return { ...NOTHING, ...parsed, name: bundle };
}
EXPORT_SYMBOL(modinfo);
