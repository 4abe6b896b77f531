// Real ranks for tests: programs of dist/ started by an mpiexec that is here, and what each of them reports.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { locateMpiexec } from "../../runtime/ranks/mpiFolder.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";

/** An MPI: what starts processes and how. */
export interface MpiHere {
  readonly name: string;
  readonly mpiexec: string;
  readonly flags: readonly string[];
  /** What the processes must be told to find the library; empty where they find it by themselves. */
  readonly environment: Readonly<Record<string, string>>;
}

/** MPICH as `mttc setup-mpi` brings it, or another by MTTC_MPI_DIR; undefined where neither is here. */
export function mpichHere(): MpiHere | undefined {
  const mpiexec = locateMpiexec({ ...process.env, PATH: "" });
  return mpiexec === undefined ? undefined : { name: "MPICH", mpiexec, flags: [], environment: {} };
}

/** MPICH with its own, older ABI, which setup-mpi does not bring: MTTC_TEST_MPICH names its libmpi.so.12. */
export function classicMpichHere(): MpiHere | undefined {
  const mpich = mpichHere();
  const library = process.env.MTTC_TEST_MPICH;
  if (mpich === undefined || library === undefined) return undefined;
  return { ...mpich, name: "MPICH's own ABI", environment: { MTTC_MPI_DIR: library } };
}

/** The system's Open MPI; undefined where there is none. */
export function openMpiHere(): MpiHere | undefined {
  for (const mpiexec of ["mpiexec.openmpi", "mpirun.openmpi", "mpiexec", "mpirun"])
    try {
      const said = execFileSync(mpiexec, ["--version"], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      if (!/Open MPI|OpenRTE/.test(said)) continue;
      const flags = ["--allow-run-as-root", "--oversubscribe"];
      return { name: "Open MPI", mpiexec, flags, environment: { MTTC_MPI_DIR: "" } };
    } catch {
      // Not installed under this name.
    }
  return undefined;
}

/** What came of a start. */
export interface RanksRun {
  /** Exit code of the launcher. */
  readonly status: number | null;
  readonly stderr: string;
  /** What each rank reported, by rank; undefined for one that did not come to it. */
  readonly reports: readonly unknown[];
}

/** How ranks are started. */
export interface RanksStart {
  /** null: the program by itself, without a launcher. */
  readonly mpi: MpiHere | null;
  readonly size: number;
  /** Built file below dist/. */
  readonly program: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether ranks outlive another for some seconds, which mpiexec would kill them after. */
  readonly outlives?: boolean;
}

/** A shell that holds mpiexec's connection for a while after its rank has died: mpiexec kills all without. */
const HOLD = '"$@"; code=$?; [ $code = 0 ] || [ "$PMI_RANK" = 0 ] || sleep 6; exit $code';
const OUTLIVING = ["sh", "-c", HOLD, "sh"] as const;

/** A program of dist/ as `size` ranks; it reports by `report` of rankReport.ts. */
export async function runRanks(start: RanksStart): Promise<RanksRun> {
  const { mpi, size, program, args, environment, outlives = false } = start;
  const folder = mkdtempSync(join(tmpdir(), "mttc-ranks-"));
  try {
    const node = [
      ...(outlives ? OUTLIVING : []),
      process.execPath,
      join(PROJECT_ROOT, "dist", program),
      ...args,
    ];
    const launcher = mpi === null ? [] : [mpi.mpiexec, ...mpi.flags, "-n", String(size)];
    const [command = "", ...words] = [...launcher, ...node];
    const child = spawn(command, words, {
      env: { ...process.env, ...mpi?.environment, ...environment, MTTC_TEST_REPORTS: folder },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const said: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => said.push(bytes));
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    const reports = Array.from({ length: size }, (_, rank) => readReport(join(folder, `${rank}.json`)));
    return { status, stderr: Buffer.concat(said).toString("utf8"), reports };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readReport(file: string): unknown {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}
