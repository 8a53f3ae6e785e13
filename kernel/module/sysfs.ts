/** /sys/module/NAME: initstate, refcnt, holders, and the parameters as files. */
import { EACCES, EEXIST } from "xenolith/linux/errno";
import type { kobj_attribute, kobject } from "xenolith/linux/kobject";
import { MODULE_STATE_COMING, MODULE_STATE_LIVE, type module } from "xenolith/linux/module";
import type { module_param } from "xenolith/linux/moduleparam";
import { sysfs_create_file, sysfs_create_group, sysfs_emit } from "xenolith/linux/sysfs";
import { kobject_create_and_add, kobject_del, kobject_put } from "../device/kobject";
import { builtin_params } from "../params";

let module_root: kobject | null = null;
const directories = new Map<module, kobject>();

function root(): kobject {
  return (module_root ??= kobject_create_and_add("module", null) as kobject);
}

function param_attribute(param: module_param): kobj_attribute {
  return {
    name: param.name,
    mode: param.perm,
    show: (_kobj, _attr, buf) => sysfs_emit(buf, "%s\n", param.ops.get(param)),
    store(_kobj, _attr, buf, count) {
      if ((param.perm & 0o222) === 0) return -EACCES;
      const error = param.ops.set(buf.replace(/\n$/, ""), param);
      return error === 0 ? count : error;
    },
  };
}

function state_name(mod: module): string {
  if (mod.state === MODULE_STATE_LIVE) return "live";
  return mod.state === MODULE_STATE_COMING ? "coming" : "going";
}

function text_attribute(name: string, text: () => string): kobj_attribute {
  return { name, mode: 0o444, show: (_kobj, _attr, buf) => sysfs_emit(buf, "%s\n", text()) };
}

/** Makes the module's directory. Returns 0 or -EEXIST. */
export function module_add_to_sysfs(mod: module): number {
  const directory = kobject_create_and_add(mod.name, root());
  if (directory === null) return -EEXIST;
  directories.set(mod, directory);
  sysfs_create_file(
    directory,
    text_attribute("initstate", () => state_name(mod)),
  );
  sysfs_create_file(
    directory,
    text_attribute("refcnt", () => String(mod.refcnt)),
  );
  if (mod.version !== "")
    sysfs_create_file(
      directory,
      text_attribute("version", () => mod.version),
    );
  const attrs = [...mod.params.values()].filter((param) => param.perm !== 0).map(param_attribute);
  return attrs.length === 0 ? 0 : sysfs_create_group(directory, { name: "parameters", attrs });
}

export function module_remove_from_sysfs(mod: module): void {
  const directory = directories.get(mod);
  if (directory === undefined) return;
  directories.delete(mod);
  kobject_del(directory);
  kobject_put(directory);
}

/** Shows the parameters of built-in components: /sys/module/COMPONENT/parameters. Those of the kernel itself are below `kernel`. */
export function param_sysfs_init(): void {
  const components = new Map<string, kobj_attribute[]>();
  for (const [name, param] of builtin_params()) {
    if (param.perm === 0) continue;
    const dot = name.indexOf(".");
    const component = dot < 0 ? "kernel" : name.slice(0, dot);
    const attrs = components.get(component) ?? [];
    attrs.push({ ...param_attribute(param), name: dot < 0 ? param.name : name.slice(dot + 1) });
    components.set(component, attrs);
  }
  for (const [component, attrs] of components) {
    const directory = kobject_create_and_add(component, root());
    if (directory !== null) sysfs_create_group(directory, { name: "parameters", attrs });
  }
}
