/** What is used of WebAssembly; Node has it, but its type library does not say so. */
declare namespace WebAssembly {
  interface Module {
    readonly __brand: "WebAssembly.Module";
  }
  function compile(bytes: Uint8Array): Promise<Module>;
}
