// Libraries that ONNX Runtime's CUDA provider takes for CUDA, built from standIn/: the provider then loads
// without a device, says which nodes it has kernels for, and runs whole steps, in which nothing is computed
// but every call is traced (launchTrace.ts). Needs the provider itself (`mttc setup-cuda`) and gcc with
// binutils; where either is missing, so is this.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  CUDA_DRIVER,
  CUDA_LIBRARIES,
  CUDA_RUNTIME,
  PROVIDER_FILES,
} from "../../runtime/ort/cudaLibraries.ts";
import { loadLibrary } from "../../runtime/ort/ffi.ts";
import { providerFolder } from "../../runtime/ort/providerFolder.ts";

const CUDNN = "libcudnn.so.9";
const SOURCES = path.resolve("test/device/standIn");

/** What each library is made of; the others are stubs alone. */
const WRITTEN: Readonly<Record<string, readonly string[]>> = {
  [CUDA_RUNTIME]: ["trace.c", "runtime.c"],
  "libcublas.so.13": ["cublas.c"],
  "libcublasLt.so.13": ["cublas.c"],
  [CUDNN]: ["cudnn.c"],
  [CUDA_DRIVER]: ["driver.c"],
};

/** Folder of core and CUDA provider; undefined where it, or a tool, is missing. */
export function providerWithoutDevice(): string | undefined {
  const folder = process.env.MTTC_ORT_DIR || providerFolder();
  if (!PROVIDER_FILES.every((file) => existsSync(path.join(folder, file)))) return undefined;
  try {
    for (const tool of ["gcc", "nm", "strings", "c++filt"])
      execFileSync(tool, ["--version"], { stdio: "ignore" });
  } catch {
    // A machine without a compiler: nothing can be built.
    return undefined;
  }
  return folder;
}

/** The libraries in a folder of their own, which this process finds; disposing of them removes the folder. */
export class CudaStandIn {
  /** Where they lie. */
  readonly build: string;
  /** Keeps the driver's library loaded, which ONNX Runtime asks for by name. */
  readonly driver: object;

  /** Builds them for the provider in `folder`. */
  constructor(folder: string) {
    this.build = mkdtempSync(path.join(tmpdir(), "mttc-cuda-"));
    buildLibraries(folder, this.build);
    process.env.MTTC_CUDA_LIBS = this.build;
    this.driver = loadLibrary(path.join(this.build, CUDA_DRIVER));
  }

  [Symbol.dispose](): void {
    rmSync(this.build, { recursive: true });
  }
}

function buildLibraries(folder: string, build: string): void {
  const provider = path.join(folder, PROVIDER_FILES[1]);
  const asked = run("nm", ["-D", "--undefined-only", provider]).matchAll(/ U (\w+)@(lib\w+\.so\.\d+)/g);
  const names = new Map<string, string[]>();
  for (const [, name = "", library = ""] of asked) names.set(library, [...(names.get(library) ?? []), name]);
  names.set(CUDNN, run("strings", ["-n", "6", provider]).match(/^cudnn[A-Z]\w+$/gm) ?? []);
  // The runtime comes first: it holds the trace, and the others are linked with it.
  for (const file of [...CUDA_LIBRARIES.map((library) => library.file), CUDA_DRIVER]) {
    const parts = (WRITTEN[file] ?? []).map((name) => path.join(SOURCES, name));
    const written = parts.map((part) => readFileSync(part, "utf8")).join("\n");
    const others = (names.get(file) ?? []).filter(
      (name) => !written.includes(` ${name}(`) && !written.includes(`*${name}(`),
    );
    const stubs = path.join(build, `${file}.c`);
    const lines = [`#include "${SOURCES}/trace.h"`, ...[...new Set(others)].map(stub), ""];
    writeFileSync(stubs, lines.join("\n"));
    writeFileSync(path.join(build, `${file}.map`), `${file} { global: *; };\n`);
    const output = ["-o", path.join(build, file), stubs, ...parts];
    const link = [`-Wl,-soname,${file}`, `-Wl,--version-script=${path.join(build, file)}.map`, "-pthread"];
    const trace = file === CUDA_RUNTIME || file === CUDA_DRIVER ? [] : [path.join(build, CUDA_RUNTIME)];
    run("gcc", ["-w", "-O1", "-shared", "-fPIC", "-fno-builtin", ...output, ...trace, ...link]);
  }
}

/** A function that is not written out: nothing, a new descriptor, or work on the stream of its handle. */
function stub(name: string): string {
  if (/^cudnnCreate/.test(name)) return `int ${name}(void **made) { return standInHandle(made); }`;
  const kind = /^cublas(?!Lt)/.test(name) ? "blas" : "dnn";
  if (
    /^cudnn(?!Get|Set|Find).*(Forward(Inference|Training)?|Tensor)$/.test(name) ||
    /^cublas.*([Gg]emm|geam|get|copy|scal)/.test(name)
  )
    return `int ${name}(void **handle) { return standInHandleWork(handle, "${kind}", "${name}"); }`;
  return `int ${name}() { return 0; }`;
}

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: "utf8", maxBuffer: 2 ** 30 });
}
