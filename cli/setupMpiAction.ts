// What `mttc setup-mpi` does.
import { mpiFolder, ncclFolder } from "../runtime/ranks/mpiFolder.ts";
import { MPI_LIBRARY, NCCL_LIBRARY } from "../runtime/setup/rankPackages.ts";
import { type SetupFlags, setUp } from "./setupComponent.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface SetupMpiFlags extends SetupFlags {
  readonly nccl?: boolean;
}

/** Downloads and unpacks MPICH, or with --nccl NVIDIA's NCCL, after asking. */
export async function setUpMpi(flags: SetupMpiFlags, terminal: Terminal): Promise<void> {
  const command = "setup-mpi";
  const mpi = {
    command,
    component: MPI_LIBRARY,
    folder: mpiFolder(),
    variable: "MTTC_MPI_DIR",
    next: "Next: mttc doctor, then mttc train SPEC --ranks 2",
  };
  const nccl = {
    command,
    component: NCCL_LIBRARY,
    folder: ncclFolder(),
    variable: "MTTC_NCCL_DIR",
    next: "Next: mttc doctor, then mttc train SPEC --ranks 2 with `strategy: nccl`",
  };
  await setUp(flags.nccl === true ? nccl : mpi, flags, terminal);
}
