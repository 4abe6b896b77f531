// The functions of MPI that mttc calls. Handles (communicators, types, requests) are pointers in the standard
// ABI of MPI 5 and in Open MPI, and C ints in MPICH's own ABI: an int is passed in the low half of a word, so
// that the same rows serve all three on 64-bit little-endian machines.
import type { SymbolFunctions, SymbolRow } from "../../ort/ffi.ts";

/** May be asked before MPI has started. */
export const VERSION_FUNCTIONS = {
  MPI_Get_library_version: ["int", "bytes", "outInt"],
} as const satisfies Record<string, SymbolRow>;

/** Of MPI 5; libraries that are older do not have it. */
export const ABI_FUNCTIONS = {
  MPI_Abi_get_version: ["int", "outInt", "outInt"],
} as const satisfies Record<string, SymbolRow>;

export const MPI_FUNCTIONS = {
  MPI_Initialized: ["int", "outInt"],
  MPI_Init_thread: ["int", "pointer", "pointer", "int", "outInt"],
  MPI_Finalize: ["int"],
  MPI_Comm_rank: ["int", "pointer", "outInt"],
  MPI_Comm_size: ["int", "pointer", "outInt"],
  MPI_Comm_split_type: ["int", "pointer", "int", "int", "pointer", "words"],
  MPI_Comm_free: ["int", "words"],
  MPI_Comm_set_errhandler: ["int", "pointer", "pointer"],
  MPI_Ibarrier: ["int", "pointer", "words"],
  MPI_Iallreduce: ["int", "pointer", "pointer", "int", "pointer", "pointer", "pointer", "words"],
  MPI_Iallgather: ["int", "pointer", "int", "pointer", "pointer", "int", "pointer", "pointer", "words"],
  MPI_Ibcast: ["int", "pointer", "int", "pointer", "int", "pointer", "words"],
  MPI_Test: ["int", "words", "outInt", "pointer"],
  MPI_Error_string: ["int", "int", "bytes", "outInt"],
} as const satisfies Record<string, SymbolRow>;

export type MpiFunctions = SymbolFunctions<typeof MPI_FUNCTIONS>;
