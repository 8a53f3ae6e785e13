/**
 * Compiles the schema of machine files into the function that checks them, so that no start pays for it. The schema that people read and the
 * check cannot differ: the one is made from the other.
 */
import { Ajv } from "ajv";
import standaloneCode from "ajv/dist/standalone/index.js";
import * as fs from "node:fs";
import * as path from "node:path";

const NAME = "virtual:machine-schema";
const ID = `\0${NAME}`;

/** The part of rollup's and vite's plugin interface that is used. */
export interface SchemaPlugin {
  readonly name: string;
  resolveId(source: string): string | null;
  load(id: string): string | null;
}

/** The plugin: `virtual:machine-schema` becomes an ES module that exports the check as `validate`. */
export function machineSchema(root: string): SchemaPlugin {
  return {
    name: "xenolith-machine-schema",
    resolveId: (source) => (source === NAME ? ID : null),
    load: (id) => (id === ID ? validatorOf(path.join(root, "images", "machines", "machine.schema.json")) : null),
  };
}

function validatorOf(file: string): string {
  const schema = JSON.parse(fs.readFileSync(file, "utf8")) as object;
  const options = { useDefaults: true, verbose: true, strict: false, code: { source: true, esm: true } };
  const ajv = new Ajv(options);
  const code = standaloneCode(ajv, ajv.compile(schema));
  if (/\brequire\(/.test(code)) throw new Error(`${file}: its check needs ajv at run time`);
  return code;
}
