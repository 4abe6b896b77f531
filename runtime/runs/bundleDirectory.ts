// A bundle on disk: compiled graphs, constants, initial state and manifest in one folder. In memory -> folder
// and back.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { manifestText } from "../../compiler/bundle/bundleFiles.ts";
import {
  type Bundle,
  MANIFEST_FILE,
  STATE_FILE,
  type StoredManifest,
} from "../../compiler/bundle/manifest.ts";
import { CONSTANTS_FILE } from "../../compiler/bundle/writeBundle.ts";
import { safetensorsPieces } from "../../compiler/codec/safetensors.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { writeDirectoryAtomically } from "../files/atomicDirectory.ts";
import {
  type ContentDescription,
  describeContent,
  describeFile,
  type FileContent,
} from "../files/fileContent.ts";
import { fileError } from "../files/fileSystem.ts";
import { restoreReplaced } from "../files/leftovers.ts";
import { damaged, parseManifest } from "./manifestReading.ts";

export interface WriteBundleOptions {
  /** Leave the initial state out: a run's folder, whose checkpoints hold its state, has no use for it. */
  readonly withoutState?: boolean;
  /** What it was compiled from, for `readUpToDate`; without it the bundle is none that is up to date. */
  readonly key?: string | undefined;
  /** The manifest's `checkpoint`. */
  readonly checkpoint?: Readonly<Record<string, string>> | undefined;
}

/**
 * Writes `bundle` to `directory` (replacing an older one, which the caller has found to be ours) whole or not
 * at all. E_FILE or E_DISK.
 */
export async function writeBundleDirectory(
  directory: string,
  bundle: Bundle,
  { withoutState = false, key, checkpoint }: WriteBundleOptions = {},
): Promise<StoredManifest> {
  const contents = new Map<string, FileContent>(bundle.files);
  if (!withoutState) contents.set(STATE_FILE, safetensorsPieces([...bundle.state.values()]));
  const files: Record<string, ContentDescription> = {};
  for (const [name, content] of contents) files[name] = await describeContent(content);
  const facts: StoredManifest = { ...bundle.manifest, ...(checkpoint && { checkpoint }), files };
  const manifest = key === undefined ? facts : { ...facts, compiled: { key, sha256: factsHash(facts) } };
  const text = new TextEncoder().encode(manifestText(manifest));
  await writeDirectoryAtomically(directory, contents.set(MANIFEST_FILE, text), { replace: true });
  return manifest;
}

/**
 * Reads and checks the manifest of a bundle, and that the files of the named graphs, and the constants that
 * graphs share, are there as they were written. E_BUNDLE, E_FILE.
 */
export async function readBundleDirectory(
  directory: string,
  graphs: readonly string[],
): Promise<StoredManifest> {
  const path = join(directory, MANIFEST_FILE);
  // Nothing is written but for a bundle whose replacement was killed, which gets its name back.
  await restoreReplaced(directory);
  const manifest = parseManifest(await readPart(path), path);
  const wanted = new Set([...graphs.map((graph) => manifest.graphs[graph]?.file ?? graph), CONSTANTS_FILE]);
  for (const name of wanted) {
    const expected = manifest.files[name];
    // Graphs without large constants have no file of them.
    if (name === CONSTANTS_FILE && !expected) continue;
    if (!expected) throw damaged(path, `names no file of the graph ${name}`);
    const { bytes, sha256: hash } = await describeStored(join(directory, name));
    if (bytes !== expected.bytes || hash !== expected.sha256)
      throw damaged(join(directory, name), "is not as it was compiled");
  }
  return manifest;
}

/**
 * The manifest of the bundle in `directory` where it was compiled from what `key` says and every file of it,
 * itself included, is as it was written; undefined where that is not so, or nothing is there.
 */
export async function readUpToDate(directory: string, key: string): Promise<StoredManifest | undefined> {
  await restoreReplaced(directory);
  try {
    const path = join(directory, MANIFEST_FILE);
    const { compiled, ...facts } = parseManifest(await readPart(path), path);
    if (compiled?.key !== key || compiled.sha256 !== factsHash(facts)) return undefined;
    for (const [name, { bytes, sha256 }] of Object.entries(facts.files)) {
      const found = await describeStored(join(directory, name));
      if (found.bytes !== bytes || found.sha256 !== sha256) return undefined;
    }
    return { ...facts, compiled };
  } catch (error) {
    // A lost or damaged bundle is compiled anew.
    if (error instanceof MttcError) return undefined;
    throw error;
  }
}

/** Of the manifest without what it says of its own making. */
function factsHash(facts: StoredManifest): string {
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex");
}

async function describeStored(path: string): Promise<ContentDescription> {
  try {
    return await describeFile(path);
  } catch (error) {
    throw fileError(error, path, "read");
  }
}

async function readPart(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fileError(error, path, "read");
  }
}
