// Finds and opens ONNX Runtime, and holds what every session and tensor needs of it: functions, environment,
// allocator. One per worker thread; everything made from it must be disposed before it.
import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import {
  type OpenedLibrary,
  ORT_API_VERSION,
  type OrtFunctions,
  type Out,
  openOrtApi,
  type Pointer,
  setNativeVariable,
} from "./ffi.ts";
import { ortError } from "./ortErrors.ts";

// ORT's own logging goes to stderr; only what ends the process is printed, since every fault is thrown as an
// error.
const LOG_FATAL = 4;

/** The version of onnxruntime-node that package.json pins. */
const PACKAGE_VERSION = "1.29.0";

/** Where ORT may lie, as the process was told. */
export interface Surroundings {
  readonly platform: string;
  readonly arch: string;
  /** MTTC_ORT_DIR: the folder of a libonnxruntime of the user's choice. */
  readonly ortFolder?: string | undefined;
}

/**
 * ONNX Runtime sends events home, with the names of a model's inputs and outputs, and leaves logs and a
 * device's number on the disk, unless this variable is set when its library starts.
 */
const NO_TELEMETRY = "ORT_DISABLE_TELEMETRY";

/** Off unless the user's own environment says 0 or false. */
function isTelemetryWanted(): boolean {
  return /^(0|false)$/i.test(process.env[NO_TELEMETRY] ?? "");
}

/** The surroundings of this process. */
export function currentSurroundings(): Surroundings {
  return { platform: process.platform, arch: process.arch, ortFolder: process.env.MTTC_ORT_DIR };
}

/** File names of the library by platform, the most specific first. */
function libraryNames(platform: string): readonly string[] {
  if (platform === "win32") return ["onnxruntime.dll"];
  if (platform === "darwin")
    return ["libonnxruntime.1.29.0.dylib", "libonnxruntime.1.dylib", "libonnxruntime.dylib"];
  return ["libonnxruntime.so.1", "libonnxruntime.so.1.29.0", "libonnxruntime.so"];
}

function loadError(message: string, hint: string, cause?: unknown): MttcError {
  return new MttcError({ code: "E_ORT_LOAD", message, hint }, { cause });
}

/**
 * The library's file: `libraryPath` (a file, or the folder that holds it), else MTTC_ORT_DIR, else the one
 * inside the onnxruntime-node package. E_ORT_LOAD says what is missing.
 */
export function locateOrtLibrary(libraryPath?: string, around = currentSurroundings()): string {
  const given = libraryPath ?? around.ortFolder;
  if (given === undefined || given === "") return locateInPackage(around);
  const by = libraryPath === undefined ? "MTTC_ORT_DIR" : "the path of the library";
  if (!existsSync(given))
    throw loadError(`${by} is ${given}, which does not exist`, "give a libonnxruntime or its folder");
  return statSync(given).isDirectory() ? findInFolder(given, around.platform, by) : given;
}

function findInFolder(folder: string, platform: string, by: string): string {
  const names = libraryNames(platform);
  const found = names.map((name) => path.join(folder, name)).find((file) => existsSync(file));
  if (found !== undefined) return found;
  throw loadError(
    `${by} leads to ${folder}, which has none of ${names.join(", ")}`,
    "it must hold ONNX Runtime's own library",
  );
}

function locateInPackage(around: Surroundings): string {
  const hint =
    `install it by \`ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node@${PACKAGE_VERSION}\` (skip: its ` +
    "install script asks NuGet for CUDA, and where that is out of reach npm leaves the package out), in a clone " +
    "of mttc by `npm ci`; or set MTTC_ORT_DIR to the folder of a libonnxruntime 1.29 or later";
  let manifest: string;
  try {
    manifest = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
  } catch (error) {
    throw loadError("the package onnxruntime-node is not installed", hint, error);
  }
  const folder = path.join(path.dirname(manifest), "bin", "napi-v6", around.platform, around.arch);
  if (!existsSync(folder))
    throw loadError(`onnxruntime-node has no library for ${around.platform}-${around.arch}`, hint);
  return findInFolder(folder, around.platform, "the package onnxruntime-node");
}

/**
 * An opened ONNX Runtime. `check` turns statuses into errors, `make` and `count` call functions with an
 * out-argument.
 */
export class OrtLibrary {
  readonly path: string;
  readonly version: string;
  readonly functions: OrtFunctions;
  /** Keeps the library loaded. */
  readonly handle: object;
  readonly env: Pointer;
  /** ORT's CPU allocator, owned by ORT. */
  readonly allocator: Pointer;

  private constructor(file: string, { handle, version }: OpenedLibrary, functions: OrtFunctions) {
    this.path = file;
    this.handle = handle;
    this.version = version;
    this.functions = functions;
    this.env = this.make("starting", (out) => functions.CreateEnv(LOG_FATAL, "mttc", out));
    if (!isTelemetryWanted()) this.check("starting", functions.DisableTelemetryEvents(this.env));
    this.allocator = this.make("starting", (out) => functions.GetAllocatorWithDefaultOptions(out));
  }

  /** Loads the library; E_ORT_LOAD when it cannot be loaded or is older than API version 29. */
  static open(libraryPath?: string, around = currentSurroundings()): OrtLibrary {
    const file = locateOrtLibrary(libraryPath, around);
    let opened: OpenedLibrary;
    try {
      if (!isTelemetryWanted()) setNativeVariable(NO_TELEMETRY, "1");
      opened = openOrtApi(file);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw loadError(`${file} cannot be loaded: ${reason}`, "is it a whole file, for this system?", error);
    }
    if (opened.functions === null)
      throw loadError(
        `${file} is ONNX Runtime ${opened.version}, without version ${ORT_API_VERSION} of the C API`,
        "use ONNX Runtime 1.29 or later",
      );
    return new OrtLibrary(file, opened, opened.functions);
  }

  /** Throws E_ORT for a status that is not success; `doing` says what was asked. */
  check(doing: string, status: Pointer | null): void {
    if (status === null) return;
    const message = this.functions.GetErrorMessage(status);
    this.functions.ReleaseStatus(status);
    throw ortError(doing, message);
  }

  /** The pointer that a call writes through its out-argument. */
  make(doing: string, call: (out: Out<Pointer | null>) => Pointer | null): Pointer {
    const out: Out<Pointer | null> = [null];
    this.check(doing, call(out));
    if (out[0] === null) throw ortError(doing, "a null pointer instead of an object");
    return out[0];
  }

  /** The number that a call writes through its out-argument. */
  count(doing: string, call: (out: Out<number>) => Pointer | null): number {
    const out: Out<number> = [0];
    this.check(doing, call(out));
    return Number(out[0]);
  }

  [Symbol.dispose](): void {
    this.functions.ReleaseEnv(this.env);
  }
}
