// The mpiexecs of this machine that `mttc train --ranks` is tested with: MPICH where `mttc setup-mpi` has been,
// Open MPI where the system has it.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { kindOf, type MpiexecKind } from "../../runtime/ranks/mpiexecCommand.ts";
import { locateMpiexec, mpiFolder } from "../../runtime/ranks/mpiFolder.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";

/** What has `mttc train --ranks` take one of them. */
export interface MpiexecHere {
  /** With what is to be done where it is not here. */
  readonly name: string;
  readonly kind: MpiexecKind;
  readonly isHere: boolean;
  readonly env: Readonly<Record<string, string>>;
}

/** As if `mttc setup-mpi` had never been: what the system has is taken. */
const WITHOUT_SETUP = {
  MTTC_MPI_DIR: "",
  XDG_CACHE_HOME: join(PROJECT_ROOT, "node_modules", ".cache", "without-setup"),
};

function hasOpenMpi(): boolean {
  const program = locateMpiexec({ ...process.env, ...WITHOUT_SETUP });
  if (program === undefined) return false;
  const { stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
  return kindOf(stdout ?? "") === "openmpi";
}

export const MPICH: MpiexecHere = {
  name: "MPICH (`mttc setup-mpi` brings it)",
  kind: "hydra",
  isHere: existsSync(join(mpiFolder(), "bin", "mpiexec")),
  env: { MTTC_MPI_DIR: mpiFolder() },
};
const OPEN_MPI: MpiexecHere = {
  name: "Open MPI (the system's package openmpi-bin)",
  kind: "openmpi",
  isHere: hasOpenMpi(),
  env: WITHOUT_SETUP,
};

export const MPIEXECS: readonly MpiexecHere[] = [MPICH, OPEN_MPI];
