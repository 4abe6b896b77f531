// Whether MPI's library and the program that started the processes belong together. Under another MPI's
// launcher each process is a world of its own, which would train as many runs over each other as there are
// processes, or MPI ends the process with words of its own.
import { MttcError } from "../../../compiler/diagnostics.ts";
import type { RankEnvironment } from "../rankEnvironment.ts";
import type { MpiLibrary } from "./mpiLibrary.ts";

/** Launchers as people know them. */
const TITLES: Readonly<Record<RankEnvironment["launcher"], string>> = {
  openmpi: "Open MPI's mpiexec",
  hydra: "MPICH's mpiexec (or PMI)",
  slurm: "Slurm's srun",
  torchrun: "torchrun",
};

/**
 * E_RANKS where starting MPI would end the process: MPICH and its kin do not know Open MPI's launcher, nor
 * PMIx unless they were built with it.
 */
export function refuseForeignLauncher(
  mpi: MpiLibrary,
  launch: RankEnvironment | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): void {
  if (launch === undefined || mpi.version.startsWith("Open MPI")) return;
  const isForeign = launch.launcher === "openmpi" || environment.PMIX_RANK !== undefined;
  if (isForeign && !/pmix/i.test(mpi.description)) throw foreign(mpi, launch);
}

/** E_RANKS where MPI found other processes than were started. */
export function refuseOtherWorld(mpi: MpiLibrary, size: number, launch: RankEnvironment | undefined): void {
  if (launch !== undefined && launch.size !== size) throw foreign(mpi, launch, size);
}

function foreign(mpi: MpiLibrary, { launcher, size }: RankEnvironment, found?: number): MttcError {
  const seen = found === undefined ? "does not work with that" : `finds ${found} of them`;
  return new MttcError({
    code: "E_RANKS",
    message: `${TITLES[launcher]} started ${size} processes, but ${mpi.version} (${mpi.file}) ${seen}`,
    hint:
      "start them by the mpiexec that belongs to the library (`mttc train --ranks N` does), or set MTTC_MPI_DIR " +
      "to the folder of the launcher's own library; for Slurm's srun, --mpi=pmi2 goes with MPICH, --mpi=pmix " +
      "with Open MPI",
  });
}
