/**
 * The symbol table of the kernel and its modules. A leaf: it imports nothing, so that every file can register its symbols while it is loaded.
 *
 *   EXPORT_SYMBOL at load  ─►  ksymtab  ◄─  `__ksym(name)` of a module that is being loaded
 */

/** Who defines a symbol: null is the kernel. */
export interface kernel_symbol {
  readonly value: unknown;
  readonly owner: object | null;
  /** Only for modules with a GPL compatible licence. */
  readonly gpl_only: boolean;
}

const symbols = new Map<string, kernel_symbol>();
let loading: object | null = null;

/** Says whose symbols follow: the module whose bundle is about to be called, or null for the kernel. */
export function set_symbol_owner(owner: object | null): void {
  loading = owner;
}

/** Publishes a value. The linker writes the name. */
export function EXPORT_SYMBOL(name: string, value: unknown): void {
  symbols.set(name, { value, owner: loading, gpl_only: false });
}

/** `EXPORT_SYMBOL` for modules with a GPL compatible licence. */
export function EXPORT_SYMBOL_GPL(name: string, value: unknown): void {
  symbols.set(name, { value, owner: loading, gpl_only: true });
}

EXPORT_SYMBOL("EXPORT_SYMBOL", EXPORT_SYMBOL);
EXPORT_SYMBOL("EXPORT_SYMBOL_GPL", EXPORT_SYMBOL_GPL);

/** The symbol, or undefined. */
export function find_symbol(name: string): kernel_symbol | undefined {
  return symbols.get(name);
}

/** Takes back everything that `owner` published. */
export function remove_symbols(owner: object): void {
  for (const [name, symbol] of symbols) if (symbol.owner === owner) symbols.delete(name);
}

/** Names that `owner` published. */
export function symbols_of(owner: object | null): string[] {
  return [...symbols].filter(([, symbol]) => symbol.owner === owner).map(([name]) => name);
}
