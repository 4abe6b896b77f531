// Where the libraries that several processes talk through lie, and the mpiexec that starts those processes:
// folders of the user's cache that `mttc setup-mpi` fills, folders that the user names, and what the system
// has. It looks, and opens nothing.
import { existsSync, readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";

/** The versions that `mttc setup-mpi` brings. */
export const MPICH_VERSION = "5.0.2";
export const NCCL_VERSION = "2.31.2";

/** A library as it is to be opened, and who says so. */
export interface LibraryPlace {
  /** A file, or a name that the system's loader knows. */
  readonly path: string;
  readonly from: "MTTC_MPI_DIR" | "MTTC_NCCL_DIR" | "setup-mpi" | "the system";
}

/**
 * Names of MPI's library, the standard ABI's first: libmpi_abi (MPI 5, any vendor), Open MPI 4 and 5, MPICH
 * and its kin.
 */
const MPI_NAMES = ["libmpi_abi.so.1", "libmpi_abi.so.0", "libmpi.so.40", "libmpi.so.12"] as const;
const OPEN_MPI_NAME = MPI_NAMES[2];
const NCCL_NAME = "libnccl.so.2";
/** Programs that start processes with MPI, by how commonly they are called so. */
const LAUNCHERS = ["mpiexec", "mpirun"] as const;

/** Where `mttc setup-mpi` puts MPICH: bin/, lib/, licenses/; whether or not it is there. */
export function mpiFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return join(cacheFolder(environment), `mpich-${MPICH_VERSION}`);
}

/** Where `mttc setup-mpi --nccl` puts NCCL: lib/, licenses/; whether or not it is there. */
export function ncclFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return join(cacheFolder(environment), `nccl-${NCCL_VERSION}-cuda13`);
}

/**
 * MPI libraries in the order in which they are to be tried. MTTC_MPI_DIR (a prefix with lib/, the folder of
 * the library, or the library itself) leaves no other choice. Processes that Open MPI's mpiexec started
 * (`isOpenMpi`) must talk through Open MPI's library: another one takes each of them for a world of its own.
 * E_MPI_LIBRARY where MTTC_MPI_DIR holds none.
 */
export function mpiLibraries(isOpenMpi: boolean, environment = process.env): readonly LibraryPlace[] {
  const { MTTC_MPI_DIR: given } = environment;
  if (given) return [{ path: inFolder(given, "MTTC_MPI_DIR", MPI_NAMES), from: "MTTC_MPI_DIR" }];
  const brought = join(mpiFolder(environment), "lib", MPI_NAMES[0]);
  const system = MPI_NAMES.map((path): LibraryPlace => ({ path, from: "the system" }));
  const isOpen = ({ path }: LibraryPlace): number => Number(path === OPEN_MPI_NAME);
  if (isOpenMpi) return system.toSorted((a, b) => isOpen(b) - isOpen(a));
  return [...(existsSync(brought) ? [{ path: brought, from: "setup-mpi" as const }] : []), ...system];
}

/**
 * NCCL's libraries likewise; MTTC_NCCL_DIR is a prefix with lib/, the folder of the library, or the library.
 * E_MPI_LIBRARY where it holds none.
 */
export function ncclLibraries(environment = process.env): readonly LibraryPlace[] {
  const { MTTC_NCCL_DIR: given } = environment;
  if (given) return [{ path: inFolder(given, "MTTC_NCCL_DIR", [NCCL_NAME]), from: "MTTC_NCCL_DIR" }];
  const brought = join(ncclFolder(environment), "lib", NCCL_NAME);
  const system: LibraryPlace = { path: NCCL_NAME, from: "the system" };
  return [...(existsSync(brought) ? [{ path: brought, from: "setup-mpi" as const }] : []), system];
}

/**
 * The mpiexec that belongs to the library that mpiLibraries() names first: in MTTC_MPI_DIR (also in the bin/
 * beside its lib/), in setup-mpi's folder, on PATH. undefined where there is none.
 */
export function locateMpiexec(environment = process.env): string | undefined {
  const { MTTC_MPI_DIR: given } = environment;
  if (given) {
    const folder = existsSync(given) && statSync(given).isDirectory() ? given : dirname(given);
    const above = dirname(folder);
    // Debian's libraries lie two folders below the prefix: /usr/lib/x86_64-linux-gnu.
    const prefixes = [above, ...(basename(above) === "lib" ? [dirname(above)] : [])];
    return firstProgram([join(folder, "bin"), folder, ...prefixes.map((prefix) => join(prefix, "bin"))]);
  }
  const path = (environment.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return firstProgram([join(mpiFolder(environment), "bin"), ...path]);
}

function cacheFolder(environment: NodeJS.ProcessEnv): string {
  return join(environment.XDG_CACHE_HOME || join(homedir(), ".cache"), "mttc");
}

function firstProgram(folders: readonly string[]): string | undefined {
  return folders
    .flatMap((folder) => LAUNCHERS.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
}

function inFolder(given: string, variable: string, names: readonly string[]): string {
  const fault = (message: string): MttcError =>
    new MttcError({
      code: "E_MPI_LIBRARY",
      message,
      hint: `give the folder that holds ${names.join(" or ")}`,
    });
  if (!existsSync(given)) throw fault(`${variable} is ${given}, which does not exist`);
  if (!statSync(given).isDirectory()) return given;
  const lib = join(given, "lib");
  const places = [lib, given, join(given, "lib64"), ...(existsSync(lib) ? perMachine(lib) : [])];
  const found = places
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
  if (found === undefined) throw fault(`${variable} is ${given}, where no library of the name is`);
  return found;
}

/** Debian's folders of libraries below a prefix's lib/: lib/x86_64-linux-gnu. */
function perMachine(lib: string): string[] {
  return readdirSync(lib)
    .filter((name) => name.endsWith("-linux-gnu"))
    .map((name) => join(lib, name));
}
