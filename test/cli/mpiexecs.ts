// The mpiexecs of this machine that `mttc train --ranks` is tested with: MPICH where `mttc setup-mpi` has been,
// Open MPI where the system has it.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { kindOf, type MpiexecKind } from "../../runtime/ranks/mpiexecCommand.ts";
import { locateMpiexec, mpiFolder } from "../../runtime/ranks/mpiFolder.ts";

/** What has `mttc train --ranks` take one of them. */
export interface MpiexecHere {
  /** With what is to be done where it is not here. */
  readonly name: string;
  readonly kind: MpiexecKind;
  readonly isHere: boolean;
  readonly env: Readonly<Record<string, string>>;
}

/** Open MPI's prefix, if its mpiexec is the system's. */
function openMpiPrefix(): string | undefined {
  const program = locateMpiexec({ PATH: process.env.PATH, XDG_CACHE_HOME: "/none" });
  if (program === undefined) return undefined;
  const { stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
  return kindOf(stdout ?? "") === "openmpi" ? join(program, "..", "..") : undefined;
}

export const MPICH: MpiexecHere = {
  name: "MPICH (`mttc setup-mpi` brings it)",
  kind: "hydra",
  isHere: existsSync(join(mpiFolder(), "bin", "mpiexec")),
  env: { MTTC_MPI_DIR: mpiFolder() },
};
const openMpi = openMpiPrefix();
const OPEN_MPI: MpiexecHere = {
  name: "Open MPI (the system's package openmpi-bin)",
  kind: "openmpi",
  isHere: openMpi !== undefined,
  env: { MTTC_MPI_DIR: openMpi ?? "" },
};

export const MPIEXECS: readonly MpiexecHere[] = [MPICH, OPEN_MPI];
