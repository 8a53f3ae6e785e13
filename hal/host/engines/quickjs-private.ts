/** What `quickjs-raw.ts`, and nobody else, uses of the package below its public interface. */

/** An address in the WASM heap. */
export type Pointer = number;

/** The module as Emscripten made it. */
export interface EmscriptenModule {
  HEAPU8: Uint8Array;
  _malloc(size: number): Pointer;
  _free(pointer: Pointer): void;
  callbacks: {
    callFunction: (
      asyncify: undefined,
      context: Pointer,
      self: Pointer,
      argc: number,
      argv: Pointer,
      functionId: number,
    ) => Pointer;
    shouldInterrupt: (asyncify: undefined, runtime: Pointer) => number;
    freeHostRef: (asyncify: undefined, runtime: Pointer, id: number) => void;
  };
  UTF8ToString(pointer: Pointer): string;
}

/** Its functions. */
export interface ForeignFunctions {
  QTS_NewRuntime(): Pointer;
  QTS_FreeRuntime(runtime: Pointer): void;
  QTS_RuntimeSetMemoryLimit(runtime: Pointer, bytes: number): void;
  QTS_RuntimeSetMaxStackSize(runtime: Pointer, bytes: number): void;
  QTS_RuntimeComputeMemoryUsage(runtime: Pointer, context: Pointer): Pointer;
  QTS_NewContext(runtime: Pointer, intrinsics: number): Pointer;
  QTS_FreeContext(context: Pointer): void;
  QTS_GetProp(context: Pointer, value: Pointer, name: Pointer): Pointer;
  QTS_GetFloat64(context: Pointer, value: Pointer): number;
  QTS_NewArrayBuffer(context: Pointer, data: Pointer, length: number): Pointer;
  QTS_NewFunction(context: Pointer, name: string, length: number, isConstructor: boolean, id: number): Pointer;
  QTS_NewString(context: Pointer, text: Pointer): Pointer;
  QTS_GetString(context: Pointer, value: Pointer): Pointer;
  QTS_FreeCString(context: Pointer, text: Pointer): void;
  QTS_Call(context: Pointer, fn: Pointer, self: Pointer, argc: number, argv: Pointer): Pointer;
  QTS_Eval(context: Pointer, code: Pointer, length: number, file: string, detectModule: number, flags: number): Pointer;
  QTS_ResolveException(context: Pointer, value: Pointer): Pointer;
  QTS_FreeValuePointer(context: Pointer, value: Pointer): void;
  QTS_GetPropNumber(context: Pointer, value: Pointer, index: number): Pointer;
  QTS_Dump(context: Pointer, value: Pointer): Pointer;
  QTS_GetUndefined(): Pointer;
  QTS_GetNull(): Pointer;
  QTS_DupValuePointer(context: Pointer, value: Pointer): Pointer;
  QTS_RuntimeEnableInterruptHandler(runtime: Pointer): void;
}
