// Libraries that ONNX Runtime's CUDA provider takes for CUDA, built from cudaStandIn.c: the provider then
// loads without a device and says which nodes it has kernels for. Needs the provider itself (`mttc setup-cuda`)
// and gcc with binutils; where either is missing, so is this.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { CUDA_DRIVER, CUDA_LIBRARIES, PROVIDER_FILES } from "../../runtime/ort/cudaLibraries.ts";
import { loadLibrary } from "../../runtime/ort/ffi.ts";
import { providerFolder } from "../../runtime/ort/providerFolder.ts";

const SOURCE = path.resolve("test/device/cudaStandIn.c");

/** Folder of core and CUDA provider; undefined where it, or a tool, is missing. */
export function providerWithoutDevice(): string | undefined {
  const folder = process.env.MTTC_ORT_DIR || providerFolder();
  if (!PROVIDER_FILES.every((file) => existsSync(path.join(folder, file)))) return undefined;
  try {
    for (const tool of ["gcc", "nm", "strings"]) execFileSync(tool, ["--version"], { stdio: "ignore" });
  } catch {
    // A machine without a compiler: nothing can be built.
    return undefined;
  }
  return folder;
}

/** Builds the libraries into `build`, makes this process find them, and returns what must be held. */
export function useCudaStandIn(folder: string, build: string): readonly object[] {
  mkdirSync(build, { recursive: true });
  const provider = path.join(folder, PROVIDER_FILES[1]);
  const asked = run("nm", ["-D", "--undefined-only", provider]).matchAll(/ U (\w+)@(lib\w+\.so\.\d+)/g);
  const names = new Map<string, string[]>();
  for (const [, name = "", library = ""] of asked) names.set(library, [...(names.get(library) ?? []), name]);
  names.set("libcudnn.so.9", run("strings", ["-n", "6", provider]).match(/^cudnn[A-Z]\w+$/gm) ?? []);
  const written = readFileSync(SOURCE, "utf8");
  for (const file of [...CUDA_LIBRARIES.map((library) => library.file), CUDA_DRIVER]) {
    const others = (names.get(file) ?? []).filter(
      (name) => !written.includes(` ${name}(`) && !written.includes(`*${name}(`),
    );
    const stubs = [...new Set(others)].map((name) => `int ${name}() { return 0; }`);
    writeFileSync(path.join(build, `${file}.c`), `#include "${SOURCE}"\n${stubs.join("\n")}\n`);
    writeFileSync(path.join(build, `${file}.map`), `${file} { global: *; };\n`);
    const output = ["-o", path.join(build, file), path.join(build, `${file}.c`)];
    const link = [`-Wl,-soname,${file}`, `-Wl,--version-script=${path.join(build, file)}.map`];
    run("gcc", ["-w", "-shared", "-fPIC", "-fno-builtin", ...output, ...link]);
  }
  process.env.MTTC_CUDA_LIBS = build;
  return [loadLibrary(path.join(build, CUDA_DRIVER))];
}

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: "utf8", maxBuffer: 2 ** 30 });
}
