// The SHA-256 of a data set's images, kept to tell later whether they are still what they were. Paths are
// kept relative to the spec's, or the table's, folder, so that a data set that has moved is still checked.
// In: hashes by path; out: JSON, and what differs from an earlier one. No file access.
import { relative, resolve, sep } from "node:path";
import { z } from "zod";
import { parseJson } from "../files/jsonText.ts";

/** What a manifest says it is, in its first line. */
export const MANIFEST_FORMAT = "mttc-image-hashes";
/** Version 1, which has no number, kept absolute paths. */
const VERSION = 2;

const schema = z.object({
  format: z.literal(MANIFEST_FORMAT),
  version: z.int().min(1).default(1),
  sha256: z.record(z.string(), z.string()),
});

/** SHA-256 by path, relative or (before version 2) absolute, with `/` between its parts. */
export type ImageManifest = ReadonlyMap<string, string>;

/** What a file holds that is said to be a manifest; a phrase where it is none that can be read. */
export function parseManifest(text: string): ImageManifest | string {
  const parsed = schema.safeParse(parseJson(text));
  if (!parsed.success) return "is no manifest of image hashes";
  const { version, sha256 } = parsed.data;
  if (version > VERSION)
    return `is a manifest of version ${version}, this mttc reads ${VERSION}: update mttc`;
  return new Map(Object.entries(sha256).map(([path, hash]) => [slashed(path), hash]));
}

/** A manifest of `hashes`, by absolute path, whose keys start from `base`. */
export function manifestText(hashes: ReadonlyMap<string, string>, base: string): string {
  const sha256 = Object.fromEntries([...hashes].map(([path, hash]) => [slashed(relative(base, path)), hash]));
  return `${JSON.stringify({ format: MANIFEST_FORMAT, version: VERSION, sha256 }, null, 1)}\n`;
}

/** Images beside a manifest. Paths are absolute. */
export interface ManifestComparison {
  /** Images whose content is what the manifest has, under their path or another one. */
  readonly same: number;
  readonly changed: readonly string[];
  /** Images of which the manifest has neither the path nor the content. */
  readonly unknown: readonly string[];
  /** Entries of the manifest that belong to none of the images. */
  readonly absent: readonly string[];
  /** Where the manifest's paths are taken to lie now, if not from `base`. */
  readonly moved: { readonly from: string; readonly to: string } | undefined;
}

/**
 * Compares images, by absolute path, with a manifest whose relative paths start from `base`. Paths that are
 * not found there are looked for as most images with a known content have moved.
 */
export function compareManifest(
  hashes: ReadonlyMap<string, string>,
  manifest: ImageManifest,
  base: string,
): ManifestComparison {
  const entries = new Map([...manifest].map(([path, hash]) => [slashed(resolve(base, path)), hash]));
  const strayed = [...hashes].filter(([path]) => !entries.has(slashed(path)));
  const move = mainMove(strayed, entries);
  const contents = new Set(manifest.values());
  const used = new Set<string>();
  const [changed, unknown]: [string[], string[]] = [[], []];
  let same = 0;
  for (const [path, hash] of hashes) {
    const key = keyOf(slashed(path), entries, move);
    if (key !== undefined) used.add(key);
    const expected = key === undefined ? undefined : entries.get(key);
    if (expected === hash || (expected === undefined && contents.has(hash))) same += 1;
    else (expected === undefined ? unknown : changed).push(path);
  }
  // What lies under another name now is not gone.
  const present = new Set(hashes.values());
  const absent = [...entries].flatMap(([key, hash]) => (used.has(key) || present.has(hash) ? [] : [key]));
  return { same, changed, unknown, absent, moved: move };
}

interface Move {
  readonly from: string;
  readonly to: string;
}

/** The entry that a path belongs to. */
function keyOf(
  path: string,
  entries: ReadonlyMap<string, string>,
  move: Move | undefined,
): string | undefined {
  if (entries.has(path)) return path;
  if (!move || !path.startsWith(move.to)) return undefined;
  const before = `${move.from}${path.slice(move.to.length)}`;
  return entries.has(before) ? before : undefined;
}

/** The change of the paths' beginning that most images share whose content the manifest has once. */
function mainMove(
  images: readonly (readonly [string, string])[],
  entries: ReadonlyMap<string, string>,
): Move | undefined {
  const keys = new Map<string, string | undefined>();
  for (const [key, hash] of entries) keys.set(hash, keys.has(hash) ? undefined : key);
  const votes = new Map<string, { readonly move: Move; count: number }>();
  for (const [path, hash] of images) {
    const key = keys.get(hash);
    const move = key === undefined ? undefined : moveOf(key, slashed(path));
    if (!move) continue;
    const name = JSON.stringify(move);
    const vote = votes.get(name) ?? { move, count: 0 };
    vote.count += 1;
    votes.set(name, vote);
  }
  return [...votes.values()].reduce<{ move?: Move; count: number }>(
    (best, vote) => (vote.count > best.count ? vote : best),
    { count: 0 },
  ).move;
}

/** What two paths begin with before the parts that they share at their ends; nothing without such a part. */
function moveOf(before: string, now: string): Move | undefined {
  const [old, own] = [before.split("/"), now.split("/")];
  let shared = 0;
  while (shared < Math.min(old.length, own.length) && old.at(-1 - shared) === own.at(-1 - shared))
    shared += 1;
  if (shared === 0) return undefined;
  const start = (parts: readonly string[]): string => parts.slice(0, parts.length - shared).join("/");
  return { from: start(old), to: start(own) };
}

function slashed(path: string): string {
  return path.split(sep).join("/");
}
