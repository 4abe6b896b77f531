// A graphics device in software, for tests on a device whose memory is not the host's: SwiftShader and
// Vulkan's loader, out of npm's @sparticuz/chromium, unpacked once under node_modules/.cache. ONNX Runtime's
// WebGPU provider, which is inside onnxruntime-node's library, runs on it.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { loadLibrary } from "../../runtime/ort/ffi.ts";
import { locateOrtLibrary } from "../../runtime/ort/library.ts";
import { packedFile, packedFiles } from "../browser/chromiumPackage.ts";

const FILES = ["libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json"];
const CACHE = path.resolve("node_modules/.cache/mttc-swiftshader-147");
const ARCHIVE = "swiftshader.tar.br";

/** Whether this platform has the libraries in the package: Linux on x64. */
export const HAS_STAND_IN = process.platform === "linux" && process.arch === "x64";

/** The packed libraries; undefined where the package is not installed. */
export function packedSwiftShader(): string | undefined {
  return packedFile(ARCHIVE);
}

/** Unpacks the libraries, if need be, and makes this process use them as long as it lives. */
export function useSwiftShader(): void {
  if (!existsSync(CACHE)) unpack();
  const driver = path.join(CACHE, "vk_swiftshader_icd.json");
  process.env.VK_DRIVER_FILES = driver;
  process.env.VK_ICD_FILENAMES = driver;
  process.env.XDG_RUNTIME_DIR ??= CACHE;
  // ONNX Runtime asks for libvulkan.so.1 by name: what is loaded already is what it gets.
  const loaded = loadLibrary(path.join(CACHE, "libvulkan.so.1"));
  // A library that nobody holds is unloaded.
  process.once("exit", () => loaded);
}

/** The library inside onnxruntime-node, which has the WebGPU provider, whatever MTTC_ORT_DIR says. */
export function standInLibrary(): string {
  return locateOrtLibrary(undefined, { platform: process.platform, arch: process.arch });
}

function unpack(): void {
  const temporary = `${CACHE}.${process.pid}`;
  mkdirSync(temporary, { recursive: true });
  for (const [name, content] of packedFiles(ARCHIVE))
    if (FILES.includes(name)) writeFileSync(path.join(temporary, name), content, { mode: 0o755 });
  try {
    renameSync(temporary, CACHE);
  } catch (error) {
    // Another test process was faster: its files are the same.
    rmSync(temporary, { recursive: true });
    if (!existsSync(CACHE)) throw error;
  }
}
