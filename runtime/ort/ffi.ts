// The C side of ONNX Runtime: the few functions of its C API that mttc calls, as typed JavaScript functions
// made by koffi. Nothing here interprets: library.ts opens, session.ts, tensor.ts and ioBinding.ts build on
// it. The API is one struct of function pointers whose order never changes; a row gives a function's index in
// the released header of 1.29 (API version 29), its result and its arguments. Pointers are addresses
// (bigint), null is null.
import koffi, { type LibraryHandle } from "koffi";

/** Address of something that ORT owns. */
export type Pointer = bigint;

/** What ORT writes through an out-argument: a one-element list, filled by the call. */
export type Out<T> = [T];

/** JavaScript types of the argument and result kinds of the table below. */
interface Kinds {
  void: undefined;
  /** OrtStatus*: null is success. */
  status: Pointer | null;
  pointer: Pointer | null;
  int: number;
  size: number;
  text: string;
  /** ORTCHAR_T*: UTF-16 on Windows, else UTF-8. */
  path: string;
  bytes: Uint8Array;
  int64s: BigInt64Array;
  /** int64_t* that ORT fills. */
  outInt64s: BigInt64Array;
  texts: readonly string[];
  pointers: readonly Pointer[];
  /** Pointers that ORT fills in, initially null. */
  outPointers: (Pointer | null)[];
  outPointer: Out<Pointer | null>;
  outInt: Out<number>;
  outSize: Out<number>;
  /** Words of the machine's size that are read and written where they lie: handles of MPI. */
  words: BigUint64Array;
  /** 128 bytes by value: NCCL's unique id. */
  id128: { readonly bytes: Uint8Array };
}
type Kind = keyof Kinds;
type Row = readonly [index: number, result: "void" | "status" | "text", ...args: Kind[]];

const FUNCTIONS = {
  CreateStatus: [0, "status", "int", "text"],
  GetErrorMessage: [2, "text", "pointer"],
  CreateEnv: [3, "status", "int", "text", "outPointer"],
  DisableTelemetryEvents: [6, "status", "pointer"],
  CreateSession: [7, "status", "pointer", "path", "pointer", "outPointer"],
  CreateSessionFromArray: [8, "status", "pointer", "bytes", "size", "pointer", "outPointer"],
  Run: [9, "status", "pointer", "pointer", "texts", "pointers", "size", "texts", "size", "outPointers"],
  CreateSessionOptions: [10, "status", "outPointer"],
  EnableProfiling: [14, "status", "pointer", "path"],
  SetSessionGraphOptimizationLevel: [23, "status", "pointer", "int"],
  SetIntraOpNumThreads: [24, "status", "pointer", "int"],
  CreateCustomOpDomain: [26, "status", "text", "outPointer"],
  CustomOpDomain_Add: [27, "status", "pointer", "pointer"],
  AddCustomOpDomain: [28, "status", "pointer", "pointer"],
  SessionGetInputCount: [30, "status", "pointer", "outSize"],
  SessionGetOutputCount: [31, "status", "pointer", "outSize"],
  SessionGetInputTypeInfo: [33, "status", "pointer", "size", "outPointer"],
  SessionGetOutputTypeInfo: [34, "status", "pointer", "size", "outPointer"],
  SessionGetInputName: [36, "status", "pointer", "size", "pointer", "outPointer"],
  SessionGetOutputName: [37, "status", "pointer", "size", "pointer", "outPointer"],
  CreateRunOptions: [39, "status", "outPointer"],
  CreateTensorAsOrtValue: [48, "status", "pointer", "int64s", "size", "int", "outPointer"],
  GetTensorMutableData: [51, "status", "pointer", "outPointer"],
  CastTypeInfoToTensorInfo: [55, "status", "pointer", "outPointer"],
  GetTensorElementType: [60, "status", "pointer", "outInt"],
  GetDimensionsCount: [61, "status", "pointer", "outSize"],
  GetDimensions: [62, "status", "pointer", "outInt64s", "size"],
  GetSymbolicDimensions: [63, "status", "pointer", "outPointers", "size"],
  GetTensorTypeAndShape: [65, "status", "pointer", "outPointer"],
  CreateMemoryInfo: [68, "status", "text", "int", "int", "int", "outPointer"],
  MemoryInfoGetName: [71, "status", "pointer", "outPointer"],
  AllocatorFree: [76, "status", "pointer", "pointer"],
  GetAllocatorWithDefaultOptions: [78, "status", "outPointer"],
  KernelInfoGetAttribute_int64: [86, "status", "pointer", "text", "outInt64s"],
  KernelContext_GetInput: [90, "status", "pointer", "size", "outPointer"],
  KernelContext_GetOutput: [91, "status", "pointer", "size", "int64s", "size", "outPointer"],
  ReleaseEnv: [92, "void", "pointer"],
  ReleaseStatus: [93, "void", "pointer"],
  ReleaseMemoryInfo: [94, "void", "pointer"],
  ReleaseSession: [95, "void", "pointer"],
  ReleaseValue: [96, "void", "pointer"],
  ReleaseRunOptions: [97, "void", "pointer"],
  ReleaseTypeInfo: [98, "void", "pointer"],
  ReleaseTensorTypeAndShapeInfo: [99, "void", "pointer"],
  ReleaseSessionOptions: [100, "void", "pointer"],
  ReleaseCustomOpDomain: [101, "void", "pointer"],
  SessionEndProfiling: [110, "status", "pointer", "pointer", "outPointer"],
  AddSessionConfigEntry: [130, "status", "pointer", "text", "text"],
  CreateAllocator: [131, "status", "pointer", "pointer", "outPointer"],
  ReleaseAllocator: [132, "void", "pointer"],
  RunWithBinding: [133, "status", "pointer", "pointer", "pointer"],
  CreateIoBinding: [134, "status", "pointer", "outPointer"],
  ReleaseIoBinding: [135, "void", "pointer"],
  BindInput: [136, "status", "pointer", "text", "pointer"],
  BindOutput: [137, "status", "pointer", "text", "pointer"],
  AddRunConfigEntry: [165, "status", "pointer", "text", "text"],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, "status", "pointer", "pointer"],
  CreateCUDAProviderOptions: [205, "status", "outPointer"],
  UpdateCUDAProviderOptions: [206, "status", "pointer", "texts", "texts", "size"],
  ReleaseCUDAProviderOptions: [208, "void", "pointer"],
  SessionOptionsAppendExecutionProvider: [216, "status", "pointer", "text", "texts", "texts", "size"],
  SessionGetMemoryInfoForInputs: [380, "status", "pointer", "outPointers", "size"],
  CopyTensors: [386, "status", "pointer", "pointers", "pointers", "pointer", "size"],
  Session_GetEpGraphAssignmentInfo: [407, "status", "pointer", "outPointer", "outSize"],
  EpAssignedSubgraph_GetEpName: [408, "status", "pointer", "outPointer"],
  EpAssignedSubgraph_GetNodes: [409, "status", "pointer", "outPointer", "outSize"],
  EpAssignedNode_GetName: [410, "status", "pointer", "outPointer"],
  EpAssignedNode_GetDomain: [411, "status", "pointer", "outPointer"],
  EpAssignedNode_GetOperatorType: [412, "status", "pointer", "outPointer"],
} as const satisfies Record<string, Row>;

type JsArgs<R extends readonly Kind[]> = { -readonly [I in keyof R]: Kinds[R[I]] };
type JsFunction<R> = R extends readonly [number, infer Result extends Kind, ...infer Args extends Kind[]]
  ? (...args: JsArgs<Args>) => Kinds[Result]
  : never;

/** The functions of the table. Those that give a status must be called through `OrtLibrary.check`. */
export type OrtFunctions = {
  readonly [Name in keyof typeof FUNCTIONS]: JsFunction<(typeof FUNCTIONS)[Name]>;
};

/** The version of the C API that the indices above belong to. */
export const ORT_API_VERSION = 29;

/**
 * An opened library: its version and, unless it is older than API version 29, its functions. koffi unloads a
 * library when its handle is collected, and functions from the table do not hold it: whoever uses them must
 * hold `handle`.
 */
export interface OpenedLibrary {
  readonly handle: object;
  readonly version: string;
  readonly functions: OrtFunctions | null;
}

/** Loads the library at `path`; throws the loader's own error (of dlopen or LoadLibrary) when that fails. */
export function openOrtApi(path: string): OpenedLibrary {
  const library = koffi.load(path);
  const base: Pointer = library.func("OrtGetApiBase", "void *", [])();
  const getApi = functionAt(base, 0, "void *", ["uint32_t"]);
  const version: string = functionAt(base, 1, "str", [])();
  const api: Pointer | null = getApi(ORT_API_VERSION);
  return { handle: library, version, functions: api === null ? null : bindFunctions(api) };
}

/** Result and arguments of an exported function of another library. */
export type SymbolRow = readonly [result: "int" | "text", ...args: Kind[]];

/** Functions made from such rows, by name. */
export type SymbolFunctions<Rows extends Record<string, SymbolRow>> = {
  readonly [Name in keyof Rows]: JsFunction<readonly [number, ...Rows[Name]]>;
};

/**
 * Loads a library only for being in memory: what is loaded later and needs a file of its name takes it. It
 * stays for as long as the result is held. Throws the loader's own error.
 */
export function loadLibrary(path: string): object {
  return koffi.load(path);
}

/**
 * Sets a variable of this process's environment for native code. On a worker thread `process.env` is a copy
 * that no library sees.
 */
export function setNativeVariable(name: string, value: string): void {
  if (process.platform === "win32")
    koffi.load("kernel32.dll").func("SetEnvironmentVariableA", "int", ["str", "str"])(name, value);
  else koffi.load(null).func("setenv", "int", ["str", "str", "int"])(name, value, 1);
}

/** Loads a library and binds functions that it exports; hold `handle` for as long as they are used. */
export function openSymbols<Rows extends Record<string, SymbolRow>>(
  path: string,
  rows: Rows,
): { readonly handle: object; readonly functions: SymbolFunctions<Rows> } {
  const library = koffi.load(path);
  return { handle: library, functions: bindSymbols(library, rows) };
}

/** A library that stays loaded until the process ends. */
export interface LastingLibrary {
  /** Functions that it exports; throws koffi's error for one that it does not. */
  bind<Rows extends Record<string, SymbolRow>>(rows: Rows): SymbolFunctions<Rows>;
  /** Where data that it exports lies; null where it exports nothing of the name. */
  addressOf(symbol: string): Pointer | null;
}

/** RTLD_NOW of dlopen(3), the same number on Linux and macOS. */
const RESOLVE_NOW = 2;

/**
 * Loads a library for good, its symbols to be seen by those that are loaded later: plug-ins of MPI look for
 * MPI's there, and its threads live on when whoever opened it has gone. Throws the loader's own error.
 */
export function openLastingLibrary(path: string): LastingLibrary {
  const library = koffi.load(path, { global: true });
  // What dlopen counts once more is not unloaded when koffi lets go of it.
  koffi.load(null).func("dlopen", "void *", ["str", "int"])(path, RESOLVE_NOW);
  return {
    bind: (rows) => bindSymbols(library, rows),
    addressOf: (symbol) => {
      try {
        return koffi.address(library.symbol(symbol));
      } catch {
        // koffi throws for a name that is not there, and for nothing else.
        return null;
      }
    },
  };
}

function bindSymbols<Rows extends Record<string, SymbolRow>>(
  library: LibraryHandle,
  rows: Rows,
): SymbolFunctions<Rows> {
  const types = nativeTypes();
  const functions = Object.entries(rows).map(([name, [result, ...args]]) => [
    name,
    library.func(
      name,
      types[result],
      args.map((kind) => types[kind]),
    ),
  ]);
  return Object.fromEntries(functions);
}

/** Memory that does not move and that JavaScript's garbage collector does not own. */
export class NativeMemory {
  readonly address: Pointer;
  /** The memory itself, not a copy: not to be used after `Symbol.dispose`. */
  readonly bytes: Uint8Array;

  constructor(sizeBytes: number) {
    this.address = koffi.alloc("uint8", sizeBytes);
    this.bytes = new Uint8Array(viewMemory(this.address, sizeBytes));
  }

  [Symbol.dispose](): void {
    koffi.free(this.address);
  }
}

function bindFunctions(api: Pointer): OrtFunctions {
  const types = nativeTypes();
  const functions: Record<string, unknown> = {};
  const rows: [string, Row][] = Object.entries(FUNCTIONS);
  for (const [name, [index, result, ...args]] of rows)
    functions[name] = functionAt(
      api,
      index,
      types[result],
      args.map((kind) => types[kind]),
    );
  return functions as unknown as OrtFunctions;
}

// biome-ignore lint/suspicious/noExplicitAny: koffi's functions have no type; bindFunctions gives them one.
type Untyped = any;

function functionAt(table: Pointer, index: number, result: string, args: Untyped[]): Untyped {
  const address = koffi.decode(table, index * koffi.sizeof("void *"), "void *");
  return koffi.decode(address, koffi.proto(result, args));
}

function nativeTypes(): Record<Kind, Untyped> {
  return {
    void: "void",
    status: "void *",
    pointer: "void *",
    int: "int",
    size: "size_t",
    text: "str",
    path: process.platform === "win32" ? "str16" : "str",
    bytes: "const void *",
    int64s: "const int64_t *",
    outInt64s: "int64_t *",
    texts: "const char **",
    pointers: "void **",
    outPointers: koffi.inout(koffi.pointer("void *")),
    outPointer: koffi.out(koffi.pointer("void *")),
    outInt: koffi.out(koffi.pointer("int")),
    outSize: koffi.out(koffi.pointer("size_t")),
    words: "void *",
    id128: koffi.struct({ bytes: koffi.array("uint8", 128, "Typed") }),
  };
}

/** `count` pointers that stand one after the other at an address. */
export function readPointers(address: Pointer, count: number): Pointer[] {
  // koffi knows no array of no elements.
  return count === 0 ? [] : koffi.decode(address, koffi.array("void *", count));
}

/** The NUL-terminated UTF-8 text at an address. */
export function readText(address: Pointer): string {
  return koffi.decode.string(address);
}

/** `bytes` bytes of native memory as an ArrayBuffer, without a copy: invalid once that memory is released. */
export function viewMemory(address: Pointer, bytes: number): ArrayBuffer {
  return koffi.view(address, bytes);
}

/** Numbers and addresses that native code gives a callback, and takes of it. */
type PlainKind = "void" | "pointer" | "size" | "int";

/** Result and arguments of a callback. */
export type CallbackRow = readonly [result: PlainKind, ...args: Exclude<PlainKind, "void">[]];

/**
 * A JavaScript function as native code calls it, on the thread that is in a call of native code, until
 * `release`. An exception must not leave `body`: native code would go on with whatever is in its registers.
 */
export function nativeCallback<Row extends CallbackRow>(
  [result, ...args]: Row,
  body: JsFunction<readonly [number, ...Row]>,
): { readonly address: Pointer; readonly release: () => void } {
  const types = nativeTypes();
  const proto = koffi.proto(
    types[result],
    args.map((kind) => types[kind]),
  );
  const address = koffi.register(body, koffi.pointer(proto));
  return { address, release: () => koffi.unregister(address) };
}

/** Native memory of 8-byte words, each a number or an address, null being 0; until `release`. */
export function nativeWords(words: readonly (Pointer | null)[]): {
  readonly address: Pointer;
  readonly release: () => void;
} {
  const memory = koffi.alloc("uint64_t", words.length);
  koffi.encode(
    memory,
    koffi.array("uint64_t", words.length),
    words.map((word) => word ?? 0n),
  );
  return { address: koffi.address(memory), release: () => koffi.free(memory) };
}

/** Writes an address to where native code wants one. */
export function writePointer(at: Pointer, value: Pointer): void {
  koffi.encode(at, "void *", value);
}
