// The functions of NCCL 2 and of CUDA's runtime that ranks call. nccl.h: ncclFloat32 is 7, ncclUint8 1,
// ncclSum 0; driver_types.h: cudaErrorNotReady is 600, cudaStreamNonBlocking 1.
import type { SymbolFunctions, SymbolRow } from "../../ort/ffi.ts";

export const NCCL_FUNCTIONS = {
  ncclGetVersion: ["int", "outInt"],
  ncclGetErrorString: ["text", "int"],
  ncclGetUniqueId: ["int", "bytes"],
  ncclCommInitRank: ["int", "outPointer", "int", "id128", "int"],
  ncclGroupStart: ["int"],
  ncclGroupEnd: ["int"],
  ncclAllReduce: ["int", "pointer", "pointer", "size", "int", "int", "pointer", "pointer"],
  ncclBroadcast: ["int", "pointer", "pointer", "size", "int", "int", "pointer", "pointer"],
  ncclCommAbort: ["int", "pointer"],
  ncclCommDestroy: ["int", "pointer"],
} as const satisfies Record<string, SymbolRow>;

export const STREAM_FUNCTIONS = {
  cudaSetDevice: ["int", "int"],
  cudaDeviceSynchronize: ["int"],
  cudaStreamCreateWithFlags: ["int", "outPointer", "int"],
  cudaStreamQuery: ["int", "pointer"],
  cudaStreamDestroy: ["int", "pointer"],
  cudaGetErrorString: ["text", "int"],
} as const satisfies Record<string, SymbolRow>;

export type NcclFunctions = SymbolFunctions<typeof NCCL_FUNCTIONS>;
export type StreamFunctions = SymbolFunctions<typeof STREAM_FUNCTIONS>;

export const FLOAT32 = 7;
export const UINT8 = 1;
export const SUM = 0;
export const NOT_READY = 600;
export const NON_BLOCKING = 1;
/** NCCL_UNIQUE_ID_BYTES. */
export const ID_BYTES = 128;
