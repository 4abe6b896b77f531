// Which of a run's checkpoints a reader takes: the best, the newest, that of an epoch or of a name. Nothing
// is renamed, and what a run that trains meanwhile takes away is no damage. The newest checkpoint says which
// is the best, so that no other is opened to find it.
import { join } from "node:path";
import { type Fault, MttcError, suggestName } from "../../compiler/diagnostics.ts";
import { type FileSystem, nodeFileSystem } from "../files/fileSystem.ts";
import {
  CHECKPOINT_NAME,
  type CheckpointPlace,
  isDamage,
  type LoadedCheckpoint,
  listPlaces,
  loadPlace,
  noCheckpoint,
  readBestMark,
} from "./checkpoints.ts";

/** A checkpoint as it is asked for: a number is that of an epoch, other texts are names. */
export type CheckpointWanted = "best" | "newest" | number | (string & {});

/** Which checkpoint was taken, and what else there is. */
export interface CheckpointChoice {
  readonly name: string;
  /** Epochs that were finished in it. */
  readonly epoch: number;
  /** Whether steps of the next epoch are in it. */
  readonly isPartial: boolean;
  readonly isBest: boolean;
  readonly isNewest: boolean;
  /** Epoch of the best checkpoint; undefined where none is marked. */
  readonly best: number | undefined;
  readonly newest: number;
}

/** A checkpoint that was chosen; `warnings` name those that could not be used. */
export interface ChosenCheckpoint extends LoadedCheckpoint {
  readonly choice: CheckpointChoice;
}

const WORDS = ["best", "newest"] as const;

/** What `--checkpoint` says; E_USAGE for what is no such word, number or name. */
export function parseWanted(text: string): CheckpointWanted {
  const word = WORDS.find((each) => each === text.toLowerCase());
  if (word !== undefined) return word;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  if (CHECKPOINT_NAME.test(text)) return text;
  const expected = "best, newest, the number of an epoch or a checkpoint's name";
  throw new MttcError({
    code: "E_USAGE",
    message: `expected ${expected}, found ${JSON.stringify(text)}`,
    hint: suggestName(text, [...WORDS, "epoch-0001"]),
  });
}

/** "epoch 6, the best; the newest is 10". */
export function choiceText({ epoch, isPartial, isBest, isNewest, best, newest }: CheckpointChoice): string {
  const part = isPartial ? " and a part of the next" : "";
  const others = [
    ...(isNewest ? [] : [`the newest is ${newest}`]),
    ...(isBest || best === undefined ? [] : [`the best is ${best}`]),
  ];
  const roles = [...(isBest ? ["the best"] : []), ...(isNewest ? ["the newest"] : [])];
  const what = roles.length > 0 ? `, ${roles.join(" and ")}` : "";
  return `epoch ${epoch}${part}${what}${others.length > 0 ? `; ${others.join(", ")}` : ""}`;
}

/** Checkpoint by checkpoint a reader starts again so often when all vanish under its eyes. */
const READ_ATTEMPTS = 10;

/**
 * The checkpoint of a run that is wanted, verified; without a wish the best, or where none is marked (no
 * epoch was validated, or an earlier mttc trained) the newest. Damaged ones are skipped for older ones,
 * unless one was asked for by name or epoch. E_CKPT_NONE where there is none such, E_CKPT_CORRUPT,
 * E_CKPT_MISMATCH for a format of a later mttc, E_FILE.
 */
export async function readCheckpoint(
  runDirectory: string,
  wanted?: CheckpointWanted,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<ChosenCheckpoint> {
  const folder = join(runDirectory, "checkpoints");
  for (let attempt = 1; ; attempt++) {
    const isLast = attempt === READ_ATTEMPTS;
    const places = await listPlaces(folder, fileSystem);
    const mark = await bestMark(folder, places, fileSystem);
    const best = places.find(({ name }) => name === mark);
    if (mark !== undefined && !best && !isLast) continue;
    const lost = mark !== undefined && !best && wantsBest(wanted) ? [lostText(mark)] : [];
    const found = await firstWhole(folder, { places, best, wanted, fileSystem, isLast });
    if ("loaded" in found) return chosen(found, places, best, lost);
    if (found.isMoving && !isLast) continue;
    throw refusal(folder, { places, best, wanted, warnings: [...lost, ...found.warnings] });
  }
}

/** The places of the checkpoints of a run, newest first, and which is the best. E_FILE. */
export async function checkpointsOf(
  runDirectory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<{ readonly places: readonly CheckpointPlace[]; readonly best: CheckpointPlace | undefined }> {
  const folder = join(runDirectory, "checkpoints");
  const places = await listPlaces(folder, fileSystem);
  const mark = await bestMark(folder, places, fileSystem);
  return { places, best: places.find(({ name }) => name === mark) };
}

/** What the newest checkpoint whose manifest can be read says; undefined where it marks none. */
async function bestMark(
  folder: string,
  places: readonly CheckpointPlace[],
  fileSystem: FileSystem,
): Promise<string | undefined> {
  for (const { name, epoch } of places) {
    try {
      return await readBestMark(join(folder, name), epoch, fileSystem);
    } catch (error) {
      // Whoever reads the checkpoint itself says what is wrong with it.
      if (!(error instanceof MttcError) || !isDamage(error)) throw error;
    }
  }
  return undefined;
}

interface Search {
  readonly places: readonly CheckpointPlace[];
  readonly best: CheckpointPlace | undefined;
  readonly wanted: CheckpointWanted | undefined;
}

/** How it is made; before the last attempt what is gone is looked for anew. */
interface SearchMade extends Search {
  readonly fileSystem: FileSystem;
  readonly isLast: boolean;
}

function wantsBest(wanted: CheckpointWanted | undefined): boolean {
  return wanted === undefined || wanted === "best";
}

/** The places to be looked at, in order. */
function candidates({ places, best, wanted }: Search): readonly CheckpointPlace[] {
  if (typeof wanted === "number") {
    // The plain name is the epoch's end; what was saved in the middle of the next one comes after it.
    const ofEpoch = places
      .filter(({ epoch }) => epoch === wanted)
      .toSorted((a, b) => a.revision - b.revision);
    return ofEpoch.slice(0, 1);
  }
  if (wanted === "newest") return places;
  if (!wantsBest(wanted)) return places.filter(({ name }) => name === wanted);
  if (!best) return wanted === "best" ? [] : places;
  return [best, ...places.filter((place) => place !== best)];
}

type Found =
  | {
      readonly loaded: Omit<LoadedCheckpoint, "warnings">;
      readonly place: CheckpointPlace;
      readonly warnings: readonly string[];
    }
  | { readonly warnings: readonly string[]; readonly isMoving: boolean };

async function firstWhole(folder: string, search: SearchMade): Promise<Found> {
  const { wanted, fileSystem } = search;
  const warnings: string[] = [];
  let isMoving = false;
  for (const place of candidates(search)) {
    const loaded = await loadPlace(folder, place, fileSystem);
    if (!("damage" in loaded)) return { loaded, place, warnings };
    const isThere = await fileSystem.exists(join(folder, place.name));
    isMoving ||= !isThere;
    if (isThere && !wantsBest(wanted) && wanted !== "newest") throw loaded.damage;
    const isBest = place === search.best && wantsBest(wanted);
    // Training has replaced it.
    if (!isThere && isBest && !search.isLast) break;
    const other = isBest ? "the newest" : "an older checkpoint";
    if (isThere) warnings.push(`${loaded.damage.message}; skipped: ${other} is taken`);
  }
  return { warnings, isMoving };
}

function chosen(
  { loaded, place, warnings }: Extract<Found, { loaded: unknown }>,
  places: readonly CheckpointPlace[],
  best: CheckpointPlace | undefined,
  lost: readonly string[],
): ChosenCheckpoint {
  const [newest = place] = places;
  const choice: CheckpointChoice = {
    ...{ name: place.name, epoch: place.epoch, isPartial: place.revision > 0 },
    ...{ isBest: place === best, isNewest: place === newest, best: best?.epoch, newest: newest.epoch },
  };
  return { ...loaded, choice, warnings: [...lost, ...warnings] };
}

function lostText(mark: string): string {
  return `the best checkpoint, ${mark}, is gone: the newest is taken`;
}

function refusal(
  folder: string,
  { places, best, wanted, warnings }: Search & { readonly warnings: readonly string[] },
): MttcError {
  if (places.length === 0 || wanted === undefined || wanted === "newest")
    return noCheckpoint(folder, warnings, "a run saves its first checkpoint when its first epoch ends");
  const there = places.map((place) => (place === best ? `${place.name} (the best)` : place.name));
  const fault: Omit<Fault, "message"> = { code: "E_CKPT_NONE", at: { file: folder } };
  if (wanted === "best")
    return new MttcError({
      ...fault,
      message: "no checkpoint is marked as the best: no epoch was validated, or an earlier mttc trained",
      hint: `--checkpoint newest takes ${places[0]?.name}; there are: ${there.join(", ")}`,
    });
  const what = typeof wanted === "number" ? `of epoch ${wanted}` : `named ${wanted}`;
  return new MttcError({
    ...fault,
    message: `there is no checkpoint ${what}`,
    hint: `kept are the newest three and the best: ${there.join(", ")}`,
  });
}
