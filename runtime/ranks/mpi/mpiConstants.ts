// MPI's constants, which are not the same in every ABI: the standard one of MPI 5, Open MPI's, whose handles
// are addresses of data in its library, and that of MPICH and its kin (Intel MPI, MVAPICH, Cray MPICH).
import type { LastingLibrary, Pointer } from "../../ort/ffi.ts";

/** What a program is compiled against. */
export type MpiAbi = "standard" | "Open MPI" | "MPICH";

/** Constants of one ABI, as mpi.h has them. */
export interface MpiConstants {
  readonly world: Pointer;
  readonly float: Pointer;
  readonly byte: Pointer;
  readonly sum: Pointer;
  readonly errorsReturn: Pointer;
  readonly noInfo: Pointer;
  readonly inPlace: Pointer;
  /** MPI_STATUS_IGNORE. */
  readonly noStatus: Pointer | null;
  /** MPI_THREAD_FUNNELED. */
  readonly funneled: number;
  /** MPI_COMM_TYPE_SHARED: the ranks that can share memory. */
  readonly sameMachine: number;
}

/** MPI 5.0, chapter "Application Binary Interface"; mpi_abi.h of MPICH 5.0.2. */
const STANDARD: MpiConstants = {
  world: 0x101n,
  float: 0x210n,
  byte: 0x247n,
  sum: 0x21n,
  errorsReturn: 0x143n,
  noInfo: 0x130n,
  inPlace: 1n,
  noStatus: null,
  funneled: 1024,
  sameMachine: 221,
};

/** mpi.h of MPICH 3 to 5, common to the libraries of the MPICH ABI compatibility initiative. */
const MPICH: MpiConstants = {
  world: 0x44000000n,
  float: 0x4c00040an,
  byte: 0x4c00010dn,
  sum: 0x58000003n,
  errorsReturn: 0x54000001n,
  noInfo: 0x1c000000n,
  inPlace: 0xffff_ffff_ffff_ffffn,
  noStatus: 1n,
  funneled: 1,
  sameMachine: 1,
};

/** mpi.h of Open MPI 4 and 5: numbers; handles are what openMpiConstants() finds. */
const OPEN_MPI = {
  inPlace: 1n,
  noStatus: null,
  funneled: 1,
  sameMachine: 0,
} as const;

/** Data of Open MPI's library whose addresses are its handles. */
const OPEN_MPI_HANDLES = {
  world: "ompi_mpi_comm_world",
  float: "ompi_mpi_float",
  byte: "ompi_mpi_byte",
  sum: "ompi_mpi_op_sum",
  errorsReturn: "ompi_mpi_errors_return",
  noInfo: "ompi_mpi_info_null",
} as const;

/** The constants of a library's ABI; undefined where it lacks data that its ABI has. */
export function mpiConstants(abi: MpiAbi, library: LastingLibrary): MpiConstants | undefined {
  if (abi === "standard") return STANDARD;
  return abi === "MPICH" ? MPICH : openMpiConstants(library);
}

function openMpiConstants(library: LastingLibrary): MpiConstants | undefined {
  const handle = (name: keyof typeof OPEN_MPI_HANDLES) => library.addressOf(OPEN_MPI_HANDLES[name]);
  const world = handle("world");
  const float = handle("float");
  const byte = handle("byte");
  const sum = handle("sum");
  const errorsReturn = handle("errorsReturn");
  const noInfo = handle("noInfo");
  if (!world || !float || !byte || !sum || !errorsReturn || !noInfo) return undefined;
  return { ...OPEN_MPI, world, float, byte, sum, errorsReturn, noInfo };
}

/** Whether a library is Open MPI's by what it exports. */
export function isOpenMpiLibrary(library: LastingLibrary): boolean {
  return library.addressOf(OPEN_MPI_HANDLES.world) !== null;
}
