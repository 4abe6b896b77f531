// NVIDIA's libraries that ORT's CUDA provider needs: where they may lie, which are missing, and loading them
// beforehand, so that no environment variable needs setting. The search is pure: folders are listed by
// functions that a test can replace.
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { loadLibrary } from "./ffi.ts";

/** One library of CUDA 13. */
export interface CudaLibrary {
  /** The file that the provider asks for. */
  readonly file: string;
  /** The Python wheel that holds it. */
  readonly wheel: string;
}

/** What the provider of ONNX Runtime 1.29 needs beside the driver, in the order in which they are loaded. */
export const CUDA_LIBRARIES: readonly CudaLibrary[] = [
  { file: "libcudart.so.13", wheel: "nvidia-cuda-runtime" },
  { file: "libcublasLt.so.13", wheel: "nvidia-cublas" },
  { file: "libcublas.so.13", wheel: "nvidia-cublas" },
  { file: "libcurand.so.10", wheel: "nvidia-curand" },
  { file: "libcudnn.so.9", wheel: "nvidia-cudnn-cu13" },
];

/**
 * What cuDNN compiles some of its convolutions with, where it is found: without it others are chosen, which
 * may be slower.
 */
const CUDA_COMPILER = "libnvrtc.so.13";

/** The driver's own library, which comes with the driver and is nowhere else. */
export const CUDA_DRIVER = "libcuda.so.1";

/** CUDA's runtime library, for copies between host and device. */
export const CUDA_RUNTIME = "libcudart.so.13";

/** What the search may look at. */
export interface CudaSurroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** Names in a folder; none where there is no such folder. */
  readonly list: (folder: string) => readonly string[];
  readonly exists: (file: string) => boolean;
}

/** The surroundings of this process. */
export function currentCudaSurroundings(): CudaSurroundings {
  const list = (folder: string): readonly string[] => {
    try {
      return readdirSync(folder);
    } catch {
      // A folder that is not there, or may not be read, holds nothing for us.
      return [];
    }
  };
  return { environment: process.env, home: homedir(), list, exists: existsSync };
}

/**
 * Folders that may hold the libraries, the most specific first: MTTC_CUDA_LIBS, NVIDIA's wheels in the
 * site-packages of the active Python environments, CUDA's own folders, LD_LIBRARY_PATH.
 */
export function cudaFolders(around: CudaSurroundings): string[] {
  const { environment, list } = around;
  const split = (key: string): string[] =>
    (environment[key] ?? "").split(":").filter((folder) => folder !== "");
  const toolkits = list("/usr/local").filter((name) => /^cuda(-13.*)?$/.test(name));
  const folders = [
    ...split("MTTC_CUDA_LIBS"),
    ...sitePackages(around).flatMap((site) => wheelFolders(site, list)),
    ...toolkits.map((name) => `/usr/local/${name}/lib64`),
    ...split("LD_LIBRARY_PATH"),
  ];
  return [...new Set(folders)];
}

function wheelFolders(site: string, list: CudaSurroundings["list"]): string[] {
  const nvidia = path.join(site, "nvidia");
  return list(nvidia).map((name) => path.join(nvidia, name, "lib"));
}

/** Folders of Python packages: of the active environment, of each Python on the PATH, of the user. */
function sitePackages({ environment, home, list }: CudaSurroundings): string[] {
  // Every Python on the PATH lies in a folder bin, beside its lib.
  const bins = (environment.PATH ?? "").split(":").filter((bin) => path.basename(bin) === "bin");
  const roots = [
    environment.VIRTUAL_ENV,
    environment.CONDA_PREFIX,
    ...bins.map((bin) => path.dirname(bin)),
    path.join(home, ".local"),
  ].flatMap((root) => root || []);
  return [...new Set(roots)].flatMap((root) => {
    const lib = path.join(root, "lib");
    const pythons = list(lib).filter((name) => /^python3(\.\d+)?$/.test(name));
    return pythons.flatMap((name) =>
      ["site-packages", "dist-packages"].map((packages) => path.join(lib, name, packages)),
    );
  });
}

/** Where a library was found, or what stands in its place. */
export interface CudaLibraryState {
  readonly library: CudaLibrary;
  /** Its path; undefined where no folder has it (the system's loader may still know it). */
  readonly path: string | undefined;
  /** Files of the same library in other versions. */
  readonly otherVersions: readonly string[];
}

/** Looks for every library in every folder. */
export function findCudaLibraries(around: CudaSurroundings): CudaLibraryState[] {
  const folders = cudaFolders(around);
  return CUDA_LIBRARIES.map((library) => {
    const files = folders.map((folder) => path.join(folder, library.file));
    const stem = library.file.replace(/\.so\..*$/, ".so.");
    const similar = folders.flatMap((folder) =>
      around
        .list(folder)
        .filter((name) => name.startsWith(stem) && !name.startsWith(library.file))
        .map((name) => path.join(folder, name)),
    );
    return { library, path: files.find((file) => around.exists(file)), otherVersions: similar };
  });
}

/** What came of loading the libraries. `handles` must be held for as long as they are needed. */
export interface LoadedCuda {
  readonly handles: readonly object[];
  readonly loaded: readonly { readonly file: string; readonly path: string }[];
  /** One fault for each library that is missing or cannot be loaded, the driver's among them. */
  readonly faults: readonly Fault[];
}

/**
 * Loads the driver's library and all others, in order. `load` takes a path or a bare name, and throws the
 * loader's error.
 */
export function loadCudaLibraries(
  around: CudaSurroundings = currentCudaSurroundings(),
  load: (file: string) => object = loadLibrary,
): LoadedCuda {
  const handles: object[] = [];
  const loaded: { file: string; path: string }[] = [];
  const faults: Fault[] = [];
  const attempt = (file: string, found: string): Error | undefined => {
    try {
      handles.push(load(found));
      loaded.push({ file, path: found });
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  };
  const driver = attempt(CUDA_DRIVER, CUDA_DRIVER);
  if (driver !== undefined) faults.push(driverFault(driver));
  for (const state of findCudaLibraries(around)) {
    const { file } = state.library;
    const reason = attempt(file, state.path ?? file);
    if (reason !== undefined) faults.push(libraryFault(state, reason));
  }
  const compiler = cudaFolders(around)
    .map((folder) => path.join(folder, CUDA_COMPILER))
    .find((file) => around.exists(file));
  // What is not needed is no fault, whatever keeps it from being loaded.
  if (compiler !== undefined) attempt(CUDA_COMPILER, compiler);
  return { handles, loaded, faults };
}

/**
 * Loads all libraries and returns what must be held; E_CUDA_LIBRARY and E_CUDA_DEVICE name every missing one.
 */
export function requireCudaLibraries(): readonly object[] {
  const { handles, faults } = loadCudaLibraries();
  if (faults.length > 0) throw new MttcError(faults);
  return handles;
}

function driverFault(reason: Error): Fault {
  return {
    code: "E_CUDA_DEVICE",
    message: `NVIDIA's driver is not installed here: ${reason.message}`,
    hint: "install a driver of version 580 or later (`nvidia-smi` shows it), or use --ep cpu",
  };
}

function libraryFault({ library, path: found, otherVersions }: CudaLibraryState, reason: Error): Fault {
  const { file, wheel } = library;
  const command = `\`pip install ${wheel}\``;
  if (found !== undefined)
    return {
      code: "E_CUDA_LIBRARY",
      message: `${file} cannot be loaded: ${reason.message}`,
      hint: `bring another by ${command}`,
    };
  const others =
    otherVersions.length > 0 ? ` (there is ${otherVersions.join(", ")}, of another version)` : "";
  return {
    code: "E_CUDA_LIBRARY",
    message: `${file} is missing${others}`,
    hint: `${command}, or set MTTC_CUDA_LIBS to the folder that holds it`,
  };
}

/** The files of the CUDA provider, which must lie beside ONNX Runtime's core. */
export const PROVIDER_FILES = [
  "libonnxruntime_providers_shared.so",
  "libonnxruntime_providers_cuda.so",
] as const;

/** Those of the provider's files that are not beside the core library at `core`. */
export function missingProviderFiles(
  core: string,
  exists = existsSync as (file: string) => boolean,
): string[] {
  return PROVIDER_FILES.filter((file) => !exists(path.join(path.dirname(core), file)));
}
