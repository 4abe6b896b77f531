// A graphics device in software, for tests on a device whose memory is not the host's: SwiftShader and
// Vulkan's loader, out of npm's @sparticuz/chromium, unpacked once under node_modules/.cache. ONNX Runtime's
// WebGPU provider, which is inside onnxruntime-node's library, runs on it.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { loadLibrary } from "../../runtime/ort/ffi.ts";
import { locateOrtLibrary } from "../../runtime/ort/library.ts";

const FILES = ["libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json"];
const CACHE = path.resolve("node_modules/.cache/mttc-swiftshader-147");
const TAR_BLOCK = 512;

/** Whether this platform has the libraries in the package: Linux on x64. */
export const HAS_STAND_IN = process.platform === "linux" && process.arch === "x64";

/** The packed libraries; undefined where the package is not installed. */
export function packedSwiftShader(): string | undefined {
  try {
    const main = createRequire(import.meta.url).resolve("@sparticuz/chromium");
    const file = path.join(path.dirname(main), "../../bin/swiftshader.tar.br");
    return existsSync(file) ? file : undefined;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

/** Unpacks the libraries, if need be, and makes this process use them as long as it lives. */
export function useSwiftShader(): void {
  if (!existsSync(CACHE)) unpack(packedSwiftShader() ?? "@sparticuz/chromium is not installed");
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

function unpack(packed: string): void {
  const archive = brotliDecompressSync(readFileSync(packed));
  const temporary = `${CACHE}.${process.pid}`;
  mkdirSync(temporary, { recursive: true });
  for (const [name, content] of tarFiles(archive))
    if (FILES.includes(name)) writeFileSync(path.join(temporary, name), content, { mode: 0o755 });
  try {
    renameSync(temporary, CACHE);
  } catch (error) {
    // Another test process was faster: its files are the same.
    rmSync(temporary, { recursive: true });
    if (!existsSync(CACHE)) throw error;
  }
}

/** Files of a tar archive: blocks of 512 bytes, a header (name, octal size) before each file's content. */
function* tarFiles(archive: Buffer): Generator<readonly [name: string, content: Buffer]> {
  for (let at = 0; at + TAR_BLOCK <= archive.length; ) {
    const text = (start: number, length: number): string =>
      archive.toString("latin1", at + start, at + start + length).split("\0", 1)[0] ?? "";
    const name = text(0, 100);
    if (name === "") return;
    const size = Number.parseInt(text(124, 12), 8);
    yield [name, archive.subarray(at + TAR_BLOCK, at + TAR_BLOCK + size)];
    at += TAR_BLOCK + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
  }
}
