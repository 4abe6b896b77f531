// What this machine has for several processes that train one model: MPI's library, the mpiexec that starts
// them, NCCL, and how many of them its cores are worth.
import { availableParallelism } from "node:os";
import { MttcError } from "../../compiler/diagnostics.ts";
import { type Out, openLastingLibrary } from "../ort/ffi.ts";
import { MpiLibrary } from "../ranks/mpi/mpiLibrary.ts";
import { type MpiexecKind, mpiexecKind } from "../ranks/mpiexecCommand.ts";
import { locateMpiexec, mpiLibraries, ncclLibraries } from "../ranks/mpiFolder.ts";
import { NCCL_FUNCTIONS } from "../ranks/nccl/ncclFunctions.ts";
import { ncclVersionText } from "../ranks/nccl/ncclLibrary.ts";
import { type Finding, faultFinding } from "./finding.ts";

const BROUGHT = "`mttc setup-mpi` brings MPICH (13 MB)";
const KINDS: Readonly<Record<MpiexecKind, string>> = {
  hydra: "MPICH's",
  openmpi: "Open MPI's",
  other: "of another MPI",
};

/** Findings on MPI, mpiexec, NCCL and ranks; `devices`: how many CUDA devices there are. */
export async function rankFindings(devices: number): Promise<Finding[]> {
  const mpiexec = locateMpiexec();
  const launcher = await launcherFinding(mpiexec);
  const mpi = mpiFinding(launcher.kind === "openmpi");
  return [mpi, launcher.finding, ncclFinding(devices), ranksFinding([mpi, launcher.finding])];
}

/** How many processes are worth starting here, with what they need. */
function ranksFinding(needed: readonly Finding[]): Finding {
  const what = "ranks";
  const lacks = needed.filter(({ state }) => state !== "ok").map((finding) => finding.what);
  if (lacks.length > 0)
    return { what, state: "absent", found: `one process: not more without ${lacks.join(" and ")}` };
  const cores = availableParallelism();
  const most = `up to ${cores} processes on ${cores} cores, which they share: train SPEC --ranks ${cores}`;
  return { what, state: "ok", found: cores === 1 ? "one process: there is one core" : most };
}

function mpiFinding(isOpenMpi: boolean): Finding {
  const what = "MPI";
  try {
    const { version, abi, file } = MpiLibrary.open(mpiLibraries(isOpenMpi));
    return {
      what,
      state: "ok",
      found: `${version}, ${abi === "standard" ? "standard ABI" : "its own ABI"}, ${file}`,
    };
  } catch (error) {
    const { MTTC_MPI_DIR: given } = process.env;
    if (given || !(error instanceof MttcError)) return faultFinding(what, error);
    return { what, state: "absent", found: "no library of it", hint: BROUGHT };
  }
}

async function launcherFinding(
  mpiexec: string | undefined,
): Promise<{ readonly finding: Finding; readonly kind?: MpiexecKind }> {
  const what = "mpiexec";
  if (mpiexec === undefined) {
    const found = process.env.MTTC_MPI_DIR ? "none beside the library of MTTC_MPI_DIR" : "none on PATH";
    return { finding: { what, state: "absent", found, hint: BROUGHT } };
  }
  try {
    const kind = await mpiexecKind(mpiexec);
    return { kind, finding: { what, state: "ok", found: `${KINDS[kind]}, ${mpiexec}` } };
  } catch (error) {
    return { finding: faultFinding(what, error) };
  }
}

/** Only asked for where there is more than one device to connect. */
function ncclFinding(devices: number): Finding {
  const what = "NCCL";
  const hint = devices > 1 ? "`mttc setup-mpi --nccl` brings it (252 MB)" : undefined;
  try {
    for (const { path, from } of ncclLibraries())
      try {
        const row = { ncclGetVersion: NCCL_FUNCTIONS.ncclGetVersion };
        const { ncclGetVersion } = openLastingLibrary(path).bind(row);
        const version: Out<number> = [0];
        ncclGetVersion(version);
        return { what, state: "ok", found: `${ncclVersionText(Number(version[0]))}, ${path}` };
      } catch (error) {
        if (from !== "the system") {
          const found = `${path} cannot be loaded: ${error instanceof Error ? error.message : error}`;
          return { what, state: "fault", found, hint };
        }
      }
  } catch (error) {
    return faultFinding(what, error);
  }
  return { what, state: "absent", found: "not here; it connects several GPUs", hint };
}
