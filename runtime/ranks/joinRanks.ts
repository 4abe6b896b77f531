// How a process comes to its engine: library, launcher, engine. Called on the ONNX Runtime thread.

import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { setNativeVariable } from "../ort/ffi.ts";
import { idleCoresNote } from "./idleCores.ts";
import { MpiEngine } from "./mpi/mpiEngine.ts";
import { refuseForeignLauncher, refuseOtherWorld } from "./mpi/mpiLaunch.ts";
import { MpiLibrary } from "./mpi/mpiLibrary.ts";
import { mpiLibraries, ncclLibraries } from "./mpiFolder.ts";
import { NcclEngine } from "./nccl/ncclEngine.ts";
import { NcclLibrary } from "./nccl/ncclLibrary.ts";
import {
  type CollectiveDevice,
  ENGINES,
  type EngineRequest,
  type JoinOptions,
  type RankEngine,
} from "./rankEngine.ts";
import { rankEnvironment } from "./rankEnvironment.ts";
import { coresOfRank, exchangeFacts, ownFacts, refuseSharedDevices } from "./rankHosts.ts";
import { RankWait } from "./rankWait.ts";

/** What came of joining. */
export interface JoinedRanks {
  readonly engine: RankEngine;
  /** This rank's share of its machine's cores. */
  readonly cores: number;
  /** Of cores that lie idle, where a launcher has bound ranks to few. */
  readonly coresNote: string | undefined;
}

/**
 * Joins the processes that were started together: returns when all of them have come. `device` is what this
 * process computes on, null for the CPU; the engine is the one that rank 0 asks for. E_MPI_LIBRARY, E_RANKS,
 * E_MPI; where NCCL is asked for by name and cannot be, E_CUDA_DEVICE, E_CUDA_LIBRARY or E_NCCL, on all;
 * E_RANKS where two ranks have the same device.
 */
export function joinRanks(
  { engine, library, abort, pulse }: JoinOptions,
  device: CollectiveDevice | null = null,
  environment = process.env,
): JoinedRanks {
  const wait = new RankWait(abort, pulse);
  const mpi = joinMpi(library, wait, environment);
  try {
    const facts = exchangeFacts(mpi, ownFacts(device, environment));
    const cores = coresOfRank(facts, mpi.place.rank);
    const launcher = rankEnvironment(environment)?.launcher;
    const coresNote = launcher && idleCoresNote(facts, launcher);
    const agreed = ofRank0(mpi, engine);
    leavingOnFault(mpi, () => refuseSharedDevices(facts));
    if (agreed === "mpi") return { engine: mpi, cores, coresNote };
    return { engine: joinNccl(mpi, wait, { engine: agreed, device, environment }), cores, coresNote };
  } catch (error) {
    mpi[Symbol.dispose]();
    throw error;
  }
}

/** What rank 0 asks for: it alone may know the spec, and all must go the same way from here. */
function ofRank0(mpi: MpiEngine, engine: EngineRequest): EngineRequest {
  const asked = new TextDecoder().decode(mpi.broadcastBytes(new TextEncoder().encode(engine)));
  const known = ENGINES.find((each) => each === asked);
  if (known === undefined) throw new InternalError(`rank 0 asks for the engine ${asked}`);
  return known;
}

function joinMpi(library: string | undefined, wait: RankWait, environment: NodeJS.ProcessEnv): MpiEngine {
  const launch = rankEnvironment(environment);
  const places =
    library === undefined
      ? mpiLibraries(launch?.launcher === "openmpi", environment)
      : [{ path: library, from: "the option" }];
  setUcxDefaults(environment);
  const mpi = MpiLibrary.open(places);
  refuseForeignLauncher(mpi, launch, environment);
  const engine = MpiEngine.join(mpi, wait);
  try {
    leavingOnFault(engine, () => refuseOtherWorld(mpi, engine.place.size, launch));
  } catch (error) {
    engine[Symbol.dispose]();
    throw error;
  }
  return engine;
}

/** What all ranks refuse alike: they take leave of each other then. */
function leavingOnFault(mpi: MpiEngine, check: () => void): void {
  try {
    check();
  } catch (error) {
    mpi.leave();
    throw error;
  }
}

/** All ranks use NCCL, or none: what one of them lacks is known to all before any of them begins. */
function joinNccl(
  mpi: MpiEngine,
  wait: RankWait,
  { engine, device, environment }: NcclRequest,
): MpiEngine | NcclEngine {
  let opened: { readonly library: NcclLibrary; readonly device: number } | null = null;
  let fault: MttcError | null = null;
  try {
    opened = openNccl(device, environment);
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    fault = error;
  }
  const lacking = mpi.place.size - mpi.count(opened !== null);
  if (lacking === 0 && opened !== null) return NcclEngine.join(mpi, opened.library, opened.device, wait);
  if (engine === "auto") return mpi;
  mpi.leave();
  throw (
    fault ??
    new MttcError({
      code: "E_RANKS",
      message: `NCCL is asked for, and ${lacking} of ${mpi.place.size} ranks cannot use it`,
      hint: "their own messages say why; strategy: auto takes MPI then",
    })
  );
}

interface NcclRequest {
  readonly engine: JoinOptions["engine"];
  readonly device: CollectiveDevice | null;
  readonly environment: NodeJS.ProcessEnv;
}

function openNccl(device: CollectiveDevice | null, environment: NodeJS.ProcessEnv) {
  if (device === null)
    throw new MttcError({
      code: "E_CUDA_DEVICE",
      message: "NCCL sums on CUDA devices, and this process computes on none",
      hint: "--ep cuda, or strategy: mpi",
    });
  const library = NcclLibrary.open(ncclLibraries(environment), device.runtime);
  return { library, device: device.device };
}

/**
 * UCX, which MPI may talk through, reads these when it is loaded. It would catch SIGHUP, and overwrite the
 * first instructions of mmap and munmap in memory, which other threads of Node.js may be running just then.
 */
const UCX_SETTINGS = { UCX_DEBUG_SIGNO: "0", UCX_MEM_EVENTS: "n" } as const;

function setUcxDefaults(environment: NodeJS.ProcessEnv): void {
  for (const [name, value] of Object.entries(UCX_SETTINGS))
    if (environment[name] === undefined) setNativeVariable(name, value);
}
