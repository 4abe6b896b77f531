// Checkpoints of a run: (state tensors, progress) <-> <run>/checkpoints/epoch-0003/{state.safetensors,
// progress.json, MANIFEST.json}. A checkpoint stands whole or not at all, is verified by hash before older
// ones go, and is verified again when loaded; damaged ones are set aside, never deleted and never loaded.
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { decodeSafetensors, type StoredTensor, safetensorsPieces } from "../../compiler/codec/safetensors.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { writeDirectoryAtomically } from "../files/atomicDirectory.ts";
import {
  type ContentDescription,
  describeContent,
  describeFile,
  type FileContent,
} from "../files/fileContent.ts";
import { type FileSystem, fileError, nodeFileSystem, systemCode } from "../files/fileSystem.ts";
import { removeLeftovers, siblingName } from "../files/leftovers.ts";

const FORMAT = 1;
const STATE = "state.safetensors";
const PROGRESS = "progress.json";
const MANIFEST = "MANIFEST.json";
/** What the manifest lists. */
const FILES = [STATE, PROGRESS] as const;
/** epoch-0003, or epoch-0003.1 for a second one of the same epoch (saved on Ctrl-C, say): higher is newer. */
export const CHECKPOINT_NAME = /^epoch-(\d{4,})(?:\.(\d+))?$/;

const fileSchema = z.object({ bytes: z.number().int().nonnegative(), sha256: z.string() });
const manifestSchema = z.object({
  format: z.literal(FORMAT),
  epoch: z.number().int().nonnegative(),
  files: z.object({ [STATE]: fileSchema, [PROGRESS]: fileSchema }),
  /** Name of the run's best checkpoint when this one was saved, this one perhaps; absent where none is. */
  best: z.string().regex(CHECKPOINT_NAME).optional(),
});
type Manifest = z.infer<typeof manifestSchema>;

/** What the trainer hands over: `epoch` counts finished epochs, `progress` is any JSON object of its own. */
export interface CheckpointContent {
  readonly epoch: number;
  readonly tensors: readonly StoredTensor[];
  readonly progress: Readonly<Record<string, unknown>>;
  /** Whether steps of the next epoch are in it: it is not what the last epoch ended with. */
  readonly isPartial?: boolean;
  /** Name of the run's best checkpoint, or that it is this one; absent where none is. */
  readonly best?: "this" | (string & {}) | undefined;
}

/** What comes back; `warnings` name the newer checkpoints that could not be used. */
export interface LoadedCheckpoint {
  readonly epoch: number;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly progress: Readonly<Record<string, unknown>>;
  readonly path: string;
  readonly warnings: readonly string[];
}

/** A checkpoint's folder by its name. */
export interface CheckpointPlace {
  readonly name: string;
  readonly epoch: number;
  /** 0 of what an epoch ended with; others were saved in the middle of the next one. */
  readonly revision: number;
}

/**
 * Saves a checkpoint, reads it back, and then removes all but the newest `keep` (at least 1) and the best.
 * Returns the new folder. E_DISK or E_FILE if it cannot be written: the older ones are then untouched.
 * E_CKPT_CORRUPT if what was read back is not what was written.
 */
export async function saveCheckpoint(
  runDirectory: string,
  content: CheckpointContent,
  keep = 3,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<string> {
  const path = await checkpointPath(runDirectory, content, fileSystem);
  await writeCheckpoint(path, content, keep, fileSystem);
  return path;
}

/** The folder that a checkpoint is saved in. */
export async function checkpointPath(
  runDirectory: string,
  { epoch, isPartial = false }: Pick<CheckpointContent, "epoch" | "isPartial">,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<string> {
  const folder = join(runDirectory, "checkpoints");
  const revisions = (await listPlaces(folder, fileSystem)).filter((place) => place.epoch === epoch);
  // The plain name is that of a whole epoch, also where that could not be saved.
  const least = isPartial && epoch > 0 ? 1 : 0;
  const revision = Math.max(least, (revisions[0]?.revision ?? -1) + 1);
  const number = String(epoch).padStart(4, "0");
  return join(folder, `epoch-${number}${revision > 0 ? `.${revision}` : ""}`);
}

/** What saveCheckpoint does, into a folder that checkpointPath gave. */
export async function writeCheckpoint(
  path: string,
  content: CheckpointContent,
  keep = 3,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  const best = content.best === "this" ? basename(path) : content.best;
  await writeDirectoryAtomically(path, await checkpointFiles({ ...content, best }), { fileSystem });
  const manifest = await readManifest(path, content.epoch, fileSystem);
  for (const name of FILES) {
    const file = join(path, name);
    const found = await readingPart(path, name, () => describeFile(file, fileSystem));
    refuseOtherContent(path, name, { found, expected: manifest.files[name] });
  }
  await prune(dirname(path), { keep: Math.max(keep, 1), best }, fileSystem);
}

/**
 * The newest checkpoint whose hashes agree, for whoever trains on. Newer ones that are damaged are renamed
 * to *.corrupt and named in `warnings`. E_CKPT_NONE if there is none left; E_CKPT_MISMATCH for a format of
 * a later mttc; E_FILE if the system refuses to read.
 */
export async function loadNewestCheckpoint(
  runDirectory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<LoadedCheckpoint> {
  const folder = join(runDirectory, "checkpoints");
  const warnings: string[] = [];
  for (const place of await listPlaces(folder, fileSystem)) {
    const loaded = await loadPlace(folder, place, fileSystem);
    if (!("damage" in loaded)) return { ...loaded, warnings };
    warnings.push(await setAside(join(folder, place.name), loaded.damage, fileSystem));
  }
  throw noCheckpoint(folder, warnings, "train without --resume to begin anew");
}

/** Name of the newest checkpoint, usable or not; undefined where there is none. */
export async function newestCheckpointName(runDirectory: string): Promise<string | undefined> {
  return (await listPlaces(join(runDirectory, "checkpoints"), nodeFileSystem))[0]?.name;
}

/** A checkpoint, or what is wrong with it. */
export async function loadPlace(
  folder: string,
  { name, epoch }: CheckpointPlace,
  fileSystem: FileSystem,
): Promise<Omit<LoadedCheckpoint, "warnings"> | { readonly damage: MttcError }> {
  const path = join(folder, name);
  try {
    const files = await readVerified(path, epoch, fileSystem);
    const { tensors } = decodeSafetensors(files.state, join(path, STATE));
    return { epoch, tensors, progress: parseProgress(files.progress, path), path };
  } catch (error) {
    if (!(error instanceof MttcError) || !isDamage(error)) throw error;
    return { damage: error };
  }
}

function parseProgress(bytes: Uint8Array, path: string): Readonly<Record<string, unknown>> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw corrupt(path, `${PROGRESS} is not JSON`, cause);
  }
  const progress = z.record(z.string(), z.unknown()).safeParse(json);
  if (!progress.success) throw corrupt(path, `${PROGRESS} does not hold the progress of a trainer`);
  return progress.data;
}

/** E_CKPT_NONE of a folder, with what is wrong with those that are there. */
export function noCheckpoint(folder: string, warnings: readonly string[], hint: string): MttcError {
  const message = ["there is no usable checkpoint", ...warnings].join("; ");
  return new MttcError({ code: "E_CKPT_NONE", message, at: { file: folder }, hint });
}

async function checkpointFiles(content: CheckpointContent): Promise<Map<string, FileContent>> {
  const text = new TextEncoder();
  const state = safetensorsPieces(content.tensors);
  const progress = text.encode(`${JSON.stringify(content.progress)}\n`);
  const files: Manifest["files"] = {
    [STATE]: await describeContent(state),
    [PROGRESS]: await describeContent(progress),
  };
  const { epoch, best } = content;
  const manifest: Manifest = { format: FORMAT, epoch, files, ...(best === undefined ? {} : { best }) };
  return new Map<string, FileContent>([
    [STATE, state],
    [PROGRESS, progress],
    [MANIFEST, text.encode(`${JSON.stringify(manifest, null, 2)}\n`)],
  ]);
}

/** The checkpoints in a folder by name, newest first; none if the folder is missing. */
export async function listPlaces(folder: string, fileSystem: FileSystem): Promise<CheckpointPlace[]> {
  let names: string[];
  try {
    names = await fileSystem.readdir(folder);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw fileError(error, folder, "list the checkpoints");
  }
  const places = names.flatMap((name) => {
    const match = CHECKPOINT_NAME.exec(name);
    return match ? [{ name, epoch: Number(match[1]), revision: Number(match[2] ?? 0) }] : [];
  });
  return places.sort((a, b) => b.epoch - a.epoch || b.revision - a.revision);
}

async function readVerified(
  path: string,
  epoch: number,
  fileSystem: FileSystem,
): Promise<{ state: Uint8Array; progress: Uint8Array }> {
  const manifest = await readManifest(path, epoch, fileSystem);
  const read = async (name: (typeof FILES)[number]): Promise<Uint8Array> => {
    const bytes = await readingPart(path, name, () => fileSystem.readFile(join(path, name)));
    refuseOtherContent(path, name, { found: await describeContent(bytes), expected: manifest.files[name] });
    return bytes;
  };
  return { state: await read(STATE), progress: await read(PROGRESS) };
}

/** The name of the best checkpoint, as the one in `path` says; undefined where it says none. E_CKPT_CORRUPT. */
export async function readBestMark(
  path: string,
  epoch: number,
  fileSystem: FileSystem,
): Promise<string | undefined> {
  return (await readManifest(path, epoch, fileSystem)).best;
}

async function readManifest(path: string, epoch: number, fileSystem: FileSystem): Promise<Manifest> {
  const bytes = await readingPart(path, MANIFEST, () => fileSystem.readFile(join(path, MANIFEST)));
  const manifest = parseManifest(bytes, path);
  if (manifest.epoch !== epoch) throw corrupt(path, `${MANIFEST} says epoch ${manifest.epoch}`);
  return manifest;
}

/** E_CKPT_CORRUPT where a file is not what the manifest says. */
function refuseOtherContent(
  path: string,
  name: string,
  { found, expected }: { readonly found: ContentDescription; readonly expected: ContentDescription },
): void {
  if (found.bytes !== expected.bytes)
    throw corrupt(path, `${name} has ${found.bytes} bytes, not ${expected.bytes}`);
  if (found.sha256 !== expected.sha256) throw corrupt(path, `${name} does not have the hash in ${MANIFEST}`);
}

/** What `read` gives of a part of a checkpoint; E_CKPT_CORRUPT where it is missing, E_FILE for other errors. */
async function readingPart<T>(path: string, name: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw corrupt(path, `${name} is missing`);
    throw fileError(error, join(path, name), "read");
  }
}

function parseManifest(bytes: Uint8Array, path: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw corrupt(path, `${MANIFEST} is not JSON`, cause);
  }
  const format = z.object({ format: z.number().int().gt(FORMAT) }).safeParse(json).data?.format;
  if (format !== undefined) {
    const message = `the checkpoint has format ${format}; this mttc reads ${FORMAT}`;
    throw new MttcError({ code: "E_CKPT_MISMATCH", message, at: { file: path }, hint: "update mttc" });
  }
  const manifest = manifestSchema.safeParse(json);
  if (!manifest.success) throw corrupt(path, `${MANIFEST} is not a manifest`, manifest.error);
  return manifest.data;
}

function corrupt(path: string, message: string, cause?: unknown): MttcError {
  return new MttcError({ code: "E_CKPT_CORRUPT", message, at: { file: path } }, { cause });
}

/** Whether an error says that a checkpoint is damaged. */
export function isDamage(error: MttcError): boolean {
  return ["E_CKPT_CORRUPT", "E_ST_HEADER", "E_ST_LAYOUT"].includes(error.code);
}

/** Renames a damaged checkpoint and says so; a folder that may not be renamed is only reported. */
async function setAside(path: string, damage: MttcError, fileSystem: FileSystem): Promise<string> {
  let target = `${path}.corrupt`;
  const taken = new Set(await fileSystem.readdir(join(path, "..")));
  for (let i = 1; taken.has(target.slice(target.lastIndexOf("epoch-"))); i++) target = `${path}.${i}.corrupt`;
  try {
    await fileSystem.rename(path, target);
    return `${damage.message}; skipped, now ${target}`;
  } catch (error) {
    return `${damage.message}; skipped, and could not be renamed (${systemCode(error) ?? String(error)})`;
  }
}

async function prune(
  folder: string,
  { keep, best }: { readonly keep: number; readonly best: string | undefined },
  fileSystem: FileSystem,
): Promise<void> {
  try {
    const older = (await listPlaces(folder, fileSystem)).slice(keep);
    for (const { name } of older.filter((place) => place.name !== best)) {
      const trash = siblingName(join(folder, name), "trash");
      await fileSystem.rename(join(folder, name), trash);
      await fileSystem.remove(trash);
    }
    await removeLeftovers(folder, fileSystem);
  } catch (error) {
    throw fileError(error, folder, "remove old checkpoints");
  }
}
