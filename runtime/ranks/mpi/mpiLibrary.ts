// Opens MPI's library, whichever of the three ABIs it has, and turns its error codes into typed errors.
import { MttcError } from "../../../compiler/diagnostics.ts";
import { type LastingLibrary, type Out, openLastingLibrary } from "../../ort/ffi.ts";
import { isOpenMpiLibrary, type MpiAbi, type MpiConstants, mpiConstants } from "./mpiConstants.ts";
import { ABI_FUNCTIONS, MPI_FUNCTIONS, type MpiFunctions, VERSION_FUNCTIONS } from "./mpiFunctions.ts";

/** MPI_MAX_LIBRARY_VERSION_STRING and MPI_MAX_ERROR_STRING, the largest of the three ABIs. */
const VERSION_BYTES = 8192;
const ERROR_BYTES = 512;

const BRING = "`mttc setup-mpi` brings one; MTTC_MPI_DIR names the folder of another";

/** An opened MPI: functions and the constants that belong to them. It stays loaded until the process ends. */
export class MpiLibrary {
  readonly file: string;
  /** "MPICH 5.0.2", "Open MPI v4.1.4". */
  readonly version: string;
  /** All that the library says of itself, how it was configured among it. */
  readonly description: string;
  readonly abi: MpiAbi;
  readonly functions: MpiFunctions;
  readonly constants: MpiConstants;

  private constructor(file: string, abi: MpiAbi, description: string, opened: Bound) {
    this.file = file;
    this.abi = abi;
    this.description = description;
    this.version = shortVersion(description);
    this.functions = opened.functions;
    this.constants = opened.constants;
  }

  /**
   * Opens the first library that is there. E_MPI_LIBRARY where none is, or one that was named cannot be
   * loaded or is no MPI.
   */
  static open(places: readonly { readonly path: string; readonly from: string }[]): MpiLibrary {
    refuseOtherMachines();
    const reasons: string[] = [];
    for (const { path, from } of places) {
      try {
        return MpiLibrary.#bind(path, openLastingLibrary(path));
      } catch (cause) {
        if (cause instanceof MttcError) throw cause;
        const reason = cause instanceof Error ? cause.message : String(cause);
        if (from !== "the system")
          throw libraryError(`${path} (of ${from}) cannot be loaded: ${reason}`, { cause });
        reasons.push(`${path}: ${reason}`);
      }
    }
    throw libraryError(`there is no MPI here (${reasons.join("; ")})`);
  }

  static #bind(file: string, library: LastingLibrary): MpiLibrary {
    try {
      const abi = abiOf(library);
      const description = describe(library);
      const constants = mpiConstants(abi, library);
      if (constants === undefined) throw libraryError(`${file} lacks data of ${abi}'s library`);
      const functions = library.bind(MPI_FUNCTIONS);
      return new MpiLibrary(file, abi, description, { functions, constants });
    } catch (cause) {
      if (cause instanceof MttcError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw libraryError(`${file} is not MPI's library, or one older than MPI 3: ${reason}`, { cause });
    }
  }

  /** Throws E_MPI with MPI's own words for a code that is not success. */
  check(doing: string, code: number): void {
    if (code === 0) return;
    const text = readText(
      (bytes, length) => this.functions.MPI_Error_string(code, bytes, length),
      ERROR_BYTES,
    );
    throw new MttcError({ code: "E_MPI", message: `${doing}: ${this.version} reports: ${text}` });
  }

  /** The number that a call writes through its out-argument. */
  number(doing: string, call: (out: Out<number>) => number): number {
    const out: Out<number> = [0];
    this.check(doing, call(out));
    return Number(out[0]);
  }
}

interface Bound {
  readonly functions: MpiFunctions;
  readonly constants: MpiConstants;
}

/** MPICH's own ABI gives -1 as the version of the standard one; Open MPI's handles are exported data. */
function abiOf(library: LastingLibrary): MpiAbi {
  const major: Out<number> = [-1];
  try {
    library.bind(ABI_FUNCTIONS).MPI_Abi_get_version(major, [-1]);
  } catch {
    // A library that is older than MPI 5 does not have the function.
  }
  if (Number(major[0]) >= 1) return "standard";
  return isOpenMpiLibrary(library) ? "Open MPI" : "MPICH";
}

function describe(library: LastingLibrary): string {
  const { MPI_Get_library_version: ask } = library.bind(VERSION_FUNCTIONS);
  return readText((bytes, length) => ask(bytes, length), VERSION_BYTES);
}

/** The text that MPI writes into `bytes`, whose length it gives. */
function readText(call: (bytes: Uint8Array, length: Out<number>) => number, maxBytes: number): string {
  const bytes = new Uint8Array(maxBytes);
  const length: Out<number> = [0];
  call(bytes, length);
  return new TextDecoder()
    .decode(bytes.subarray(0, Number(length[0])))
    .replaceAll("\0", "")
    .trim();
}

/** "MPICH Version:      5.0.2\n..." and "Open MPI v4.1.4, package: ..." as they are called. */
function shortVersion(description: string): string {
  const first = description.split(/[\n,]/, 1)[0] ?? "";
  return first.replace(/\s*Version:\s*/, " ").trim();
}

/** Handles and words are passed as 64-bit numbers whose low half comes first. */
function refuseOtherMachines(): void {
  if (["x64", "arm64"].includes(process.arch) && process.platform !== "win32") return;
  throw libraryError(`several processes are not for ${process.platform} on ${process.arch}`);
}

function libraryError(message: string, options?: { cause: unknown }): MttcError {
  return new MttcError({ code: "E_MPI_LIBRARY", message, hint: BRING }, options);
}
