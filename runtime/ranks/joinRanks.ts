// How a process comes to its engine: library, launcher, engine. Called on the ONNX Runtime thread.
import { setNativeVariable } from "../ort/ffi.ts";
import { MpiEngine } from "./mpi/mpiEngine.ts";
import { refuseForeignLauncher, refuseOtherWorld } from "./mpi/mpiLaunch.ts";
import { MpiLibrary } from "./mpi/mpiLibrary.ts";
import { mpiLibraries } from "./mpiFolder.ts";
import type { JoinOptions, RankEngine } from "./rankEngine.ts";
import { rankEnvironment } from "./rankEnvironment.ts";

/**
 * Joins the processes that were started together: returns when all of them have come. E_MPI_LIBRARY,
 * E_RANKS, E_MPI.
 */
export function joinRanks({ library, abort }: JoinOptions, environment = process.env): RankEngine {
  const launch = rankEnvironment(environment);
  const isOpenMpi = launch?.launcher === "openmpi";
  const places =
    library === undefined ? mpiLibraries(isOpenMpi, environment) : [{ path: library, from: "the option" }];
  keepSignals(environment);
  const mpi = MpiLibrary.open(places);
  refuseForeignLauncher(mpi, launch, environment);
  const engine = MpiEngine.join(mpi, abort);
  try {
    refuseOtherWorld(mpi, engine.place.size, launch);
  } catch (error) {
    engine.leave();
    engine[Symbol.dispose]();
    throw error;
  }
  return engine;
}

/** UCX, which MPI may talk through, would catch SIGHUP from the moment that it is loaded. */
function keepSignals(environment: NodeJS.ProcessEnv): void {
  if (environment.UCX_DEBUG_SIGNO === undefined) setNativeVariable("UCX_DEBUG_SIGNO", "0");
}
