// Which MPI library is taken, and which mpiexec: the user's own word first, then what setup-mpi brought, then
// the system's; Open MPI's processes never talk through another library.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import {
  locateMpiexec,
  mpiFolder,
  mpiLibraries,
  ncclFolder,
  ncclLibraries,
} from "../../runtime/ranks/mpiFolder.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mttc-mpi-folder-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(path: string): string {
  const full = join(root, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, "");
  return full;
}

/** A cache in which setup-mpi has been. */
function cached(): NodeJS.ProcessEnv {
  const environment = { XDG_CACHE_HOME: join(root, "cache"), PATH: "" };
  for (const file of ["lib/libmpi_abi.so.1", "bin/mpiexec"])
    write(join(mpiFolder(environment), file).slice(root.length + 1));
  return environment;
}

test("what setup-mpi brought comes before what the system has", () => {
  const environment = cached();
  const [first, ...rest] = mpiLibraries(false, environment);
  expect(first).toEqual({ path: join(mpiFolder(environment), "lib/libmpi_abi.so.1"), from: "setup-mpi" });
  expect(rest.map(({ path }) => path)).toEqual([
    "libmpi_abi.so.1",
    "libmpi_abi.so.0",
    "libmpi.so.40",
    "libmpi.so.12",
  ]);
  expect(locateMpiexec(environment)).toBe(join(mpiFolder(environment), "bin/mpiexec"));
});

test("without setup-mpi the system's are tried, and the first mpiexec or mpirun of PATH", () => {
  const environment = { XDG_CACHE_HOME: join(root, "none"), PATH: `${root}/a::${root}/b:${root}/c` };
  expect(mpiLibraries(false, environment).every(({ from }) => from === "the system")).toBe(true);
  expect(locateMpiexec(environment)).toBeUndefined();
  write("c/mpiexec");
  const run = write("b/mpirun");
  expect(locateMpiexec(environment)).toBe(run);
  const exec = write("b/mpiexec");
  expect(locateMpiexec(environment)).toBe(exec);
});

test("processes of Open MPI never take the library of setup-mpi, and try Open MPI's first", () => {
  const libraries = mpiLibraries(true, cached());
  expect(libraries[0]).toEqual({ path: "libmpi.so.40", from: "the system" });
  expect(libraries.some(({ from }) => from === "setup-mpi")).toBe(false);
});

test("MTTC_MPI_DIR is a prefix, the folder of the library or the library, and leaves no other choice", () => {
  const library = write("own prefix/lib/libmpi.so.40");
  const program = write("own prefix/bin/mpiexec");
  for (const given of [join(root, "own prefix"), join(root, "own prefix/lib"), library])
    for (const isOpenMpi of [true, false]) {
      const environment = { ...cached(), MTTC_MPI_DIR: given };
      expect(mpiLibraries(isOpenMpi, environment)).toEqual([{ path: library, from: "MTTC_MPI_DIR" }]);
      expect(locateMpiexec(environment)).toBe(program);
    }
  // Debian's lie in a folder for each kind of machine.
  const debian = write("usr/lib/x86_64-linux-gnu/libmpi.so.40");
  const runs = write("usr/bin/mpiexec");
  for (const given of ["usr", "usr/lib/x86_64-linux-gnu"]) {
    const environment = { MTTC_MPI_DIR: join(root, given) };
    expect(mpiLibraries(true, environment)).toEqual([{ path: debian, from: "MTTC_MPI_DIR" }]);
    expect(locateMpiexec(environment)).toBe(runs);
  }
  const flat = write("flat/libmpi_abi.so.1");
  const beside = write("flat/mpiexec");
  const environment = { MTTC_MPI_DIR: join(root, "flat") };
  expect(mpiLibraries(false, environment)).toEqual([{ path: flat, from: "MTTC_MPI_DIR" }]);
  expect(locateMpiexec(environment)).toBe(beside);
});

test("MTTC_MPI_DIR as Debian has it: the library in lib/<machine>/, the program in bin/", () => {
  const library = write("usr/lib/x86_64-linux-gnu/libmpi.so.40");
  const program = write("usr/bin/mpiexec");
  for (const given of [dirname(library), library]) {
    const environment = { ...cached(), MTTC_MPI_DIR: given };
    expect(mpiLibraries(true, environment)).toEqual([{ path: library, from: "MTTC_MPI_DIR" }]);
    expect(locateMpiexec(environment)).toBe(program);
  }
});

test("MTTC_MPI_DIR that is not there, or holds no library, is refused by name", () => {
  const empty = dirname(write("empty/notes.txt"));
  for (const given of [join(root, "none"), empty]) {
    const environment = { ...cached(), MTTC_MPI_DIR: given };
    expect(() => mpiLibraries(false, environment)).toThrowError(MttcError);
    expect(() => mpiLibraries(false, environment)).toThrowError(given);
    // The launcher of another library would start processes that do not find each other.
    expect(locateMpiexec(environment)).toBeUndefined();
  }
  expect(() => ncclLibraries({ MTTC_NCCL_DIR: empty })).toThrowError("libnccl.so.2");
});

test("an empty variable is none", () => {
  const environment = { ...cached(), MTTC_MPI_DIR: "", MTTC_NCCL_DIR: "" };
  expect(mpiLibraries(false, environment)[0]?.from).toBe("setup-mpi");
  expect(ncclLibraries(environment)).toEqual([{ path: "libnccl.so.2", from: "the system" }]);
});

test("NCCL is the user's own, else setup-mpi's, else the system's", () => {
  const environment = { XDG_CACHE_HOME: join(root, "cache") };
  const brought = write(join(ncclFolder(environment), "lib/libnccl.so.2").slice(root.length + 1));
  expect(ncclLibraries(environment).map(({ path }) => path)).toEqual([brought, "libnccl.so.2"]);
  const own = write("own/libnccl.so.2");
  expect(ncclLibraries({ ...environment, MTTC_NCCL_DIR: join(root, "own") })).toEqual([
    { path: own, from: "MTTC_NCCL_DIR" },
  ]);
});
