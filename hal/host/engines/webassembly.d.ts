/** What is used of WebAssembly; Node has it, but its type library does not say so. */
declare namespace WebAssembly {
  interface Module {
    readonly __brand: "WebAssembly.Module";
  }
  class Memory {
    constructor(limits: { initial: number; maximum: number });
    readonly buffer: ArrayBuffer;
  }
  function compile(bytes: Uint8Array): Promise<Module>;
}
