/** The check of machine files, made from `images/machines/machine.schema.json` by `build/schema.ts`. */
declare module "virtual:machine-schema" {
  import type { ErrorObject } from "ajv";

  /** Fills in defaults. False, with what is wrong in `errors`, when the value is no machine file. */
  export const validate: {
    (value: unknown): boolean;
    errors: ErrorObject[] | null;
  };
}
