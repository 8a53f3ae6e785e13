/** A module that needs a symbol that nobody exports. */
import { module_init } from "xenolith/linux/module";

declare function __ksym(name: string): () => number;
const ghost = __ksym("a_symbol_that_nobody_exports");

module_init(() => ghost());
