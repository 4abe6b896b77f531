// A bundle on disk: compiled graphs, constants, initial state and manifest in one folder. In memory -> folder
// and back.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { BUNDLE_FORMAT, BUNDLE_VERSION, type Bundle, type Manifest } from "../../compiler/bundle.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { writeDirectoryAtomically } from "../checkpoint/atomicDirectory.ts";
import { fileError } from "../checkpoint/fileSystem.ts";

export const MANIFEST_FILE = "manifest.json";

/** The manifest as written: with size and SHA-256 of every other file. */
export interface StoredManifest extends Manifest {
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>;
}

/** Writes `bundle` to `directory` (replacing an older one) whole or not at all. E_FILE or E_DISK. */
export async function writeBundleDirectory(directory: string, bundle: Bundle): Promise<StoredManifest> {
  const files = Object.fromEntries(
    [...bundle.files].map(([name, bytes]) => [name, { bytes: bytes.length, sha256: sha256(bytes) }]),
  );
  const manifest: StoredManifest = { ...bundle.manifest, files };
  const text = new TextEncoder().encode(`${JSON.stringify(manifest, null, 1)}\n`);
  await writeDirectoryAtomically(directory, new Map([...bundle.files, [MANIFEST_FILE, text]]), {
    replace: true,
  });
  return manifest;
}

/**
 * Reads and checks the manifest of a bundle, and that every file is there as it was written. E_BUNDLE,
 * E_FILE.
 */
export async function readBundleDirectory(directory: string): Promise<StoredManifest> {
  const path = join(directory, MANIFEST_FILE);
  const manifest = parseManifest(await readPart(path), path);
  for (const [name, expected] of Object.entries(manifest.files)) {
    const bytes = await readPart(join(directory, name));
    if (bytes.length !== expected.bytes || sha256(bytes) !== expected.sha256)
      throw damaged(join(directory, name), "is not as it was compiled");
  }
  return manifest;
}

function parseManifest(bytes: Uint8Array, path: string): StoredManifest {
  let manifest: Partial<StoredManifest>;
  try {
    manifest = JSON.parse(new TextDecoder().decode(bytes)) as Partial<StoredManifest>;
  } catch (cause) {
    throw damaged(path, "is not JSON", cause);
  }
  if (manifest.format !== BUNDLE_FORMAT || manifest.version !== BUNDLE_VERSION || !manifest.files)
    throw damaged(path, `is not a ${BUNDLE_FORMAT} of version ${BUNDLE_VERSION}`);
  return manifest as StoredManifest;
}

async function readPart(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fileError(error, path, "read");
  }
}

function damaged(file: string, message: string, cause?: unknown): MttcError {
  const hint = "compile again: mttc compile SPEC -o DIR";
  return new MttcError({ code: "E_BUNDLE", message, at: { file }, hint }, { cause });
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
