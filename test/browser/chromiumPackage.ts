// What lies packed inside npm's @sparticuz/chromium: the browser, its libraries, fonts and SwiftShader.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { brotliDecompressSync } from "node:zlib";

const TAR_BLOCK = 512;

/** Path of a packed file (`chromium.br`); undefined where the package is not installed or lacks it. */
export function packedFile(name: string): string | undefined {
  try {
    const main = createRequire(import.meta.url).resolve("@sparticuz/chromium");
    const file = path.join(path.dirname(main), "../../bin", name);
    return existsSync(file) ? file : undefined;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

/** Files of a packed archive (`fonts.tar.br`) by their names, without folders. */
export function packedFiles(name: string): Map<string, Buffer> {
  const archive = brotliDecompressSync(readFileSync(packedFile(name) ?? `${name} is not installed`));
  return new Map([...tarFiles(archive)].filter(([file]) => !file.endsWith("/")));
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
