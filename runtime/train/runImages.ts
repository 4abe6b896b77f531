// The images of a run before its first epoch: looked at once, and those that cannot be read an error, or, by
// the spec's on_bad_image, left out. In: labels with stamps; out: the labels that the run trains on.
import { basename } from "node:path";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import type { RunSpec } from "../../compiler/spec/schema.ts";
import { checkHeaders } from "../checks/headerCheck.ts";
import { sparsely } from "../checks/sparseProgress.ts";
import type { ImageFormat } from "../images/images.ts";
import { labelsByTask } from "../labels/classes.ts";
import { countLabelled } from "../labels/taskLabels.ts";
import { imagesDigest, readImageRecord, withoutImages, writeImageRecord } from "../runs/skippedImages.ts";
import { type ImageRows, listedImages, type Splits } from "../tables/imageRows.ts";
import type { RunLabels } from "./trainerOptions.ts";

/** Largest share of a table's rows that may be left out. */
const MOST_SKIPPED = 0.01;
const MOST_SHOWN = 20;
const MOST_NAMED = 3;

/** What is looked at; a training session has all of it. */
export interface ImagesContext {
  readonly experiment: {
    readonly spec: Pick<RunSpec, "on_bad_image" | "pack">;
    readonly baseDirectory: string;
  };
  readonly labels: RunLabels;
  readonly reader: { readonly format: ImageFormat };
  /** The run's folder, which keeps what was found. */
  readonly directory: string;
}

export interface ImagesOptions {
  readonly log: (message: string) => void;
  /** Ends the look with E_INTERRUPTED. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Labels without the rows of `on_bad_image: skip`, and, where there are any, a sentence that tells of them.
 */
export interface RunImages {
  readonly labels: RunLabels;
  readonly leftOut: string | undefined;
}

/**
 * Looks at every image of the tables, unless the run's folder says that these very files were looked at, or
 * they are about to be packed.
 * Throws the faults of images (20 of them at most), where the spec does not have them left out or they are
 * more than 1 % of a table's rows; E_TASK_EMPTY where no label of a task is left; E_INTERRUPTED, E_DISK,
 * E_FILE.
 */
export async function checkRunImages(context: ImagesContext, options: ImagesOptions): Promise<RunImages> {
  const { experiment, labels, reader, directory } = context;
  const { baseDirectory, spec } = experiment;
  const skips = spec.on_bad_image === "skip";
  // Packing decodes every image before the first epoch, and names all faults at once.
  if (!skips && spec.pack !== "auto" && spec.pack !== false) return reduced(labels, new Set());
  const digest = imagesDigest(labels, { skips, format: reader.format });
  const before = await readImageRecord(directory, baseDirectory);
  if (before?.digest === digest) return reduced(labels, before.skipped);
  if (before !== undefined) options.log("the images are not those that were looked at before: once more");
  const faults = await lookAtAll(context, skips, options);
  if (faults.size > 0 && !skips) throw refusal(faults, labels);
  refuseTooMany(faults, labels);
  const skipped = new Set(faults.keys());
  const result = reduced(labels, skipped);
  refuseEmptyTasks(result.labels);
  await writeImageRecord(directory, baseDirectory, { digest, skipped });
  return result;
}

async function lookAtAll(
  { labels, reader }: ImagesContext,
  decode: boolean,
  { log, signal, onProgress }: ImagesOptions,
): Promise<Map<string, Fault>> {
  const items = [
    ...new Map(listedImages(labels.train, labels.val).map((item) => [item.path, item])).values(),
  ];
  const what = decode ? "decoded" : "looked at";
  const began = performance.now();
  const told = sparsely((done: number) => log(`${done} of ${items.length} images ${what}`));
  const faults = await checkHeaders(items, {
    ...{ format: reader.format, decode, signal },
    onProgress: (done, total) => (onProgress ?? told)(done, total),
  });
  const seconds = (performance.now() - began) / 1000;
  const rate = ((seconds * 10_000) / Math.max(1, items.length)).toFixed(1);
  log(
    `${items.length} images ${what} in ${seconds.toFixed(1)} s (${rate} s per 10,000): ${faults.size} unreadable`,
  );
  return faults;
}

function tables({ train, val }: Splits): readonly (readonly [string, ImageRows])[] {
  return [["training", train], ...(val ? [["validation", val] as const] : [])];
}

function rowsIn(rows: ImageRows, paths: { has(path: string): boolean }): number {
  let count = 0;
  for (const path of rows.paths) if (paths.has(path)) count += 1;
  return count;
}

function refusal(faults: ReadonlyMap<string, Fault>, labels: RunLabels): MttcError {
  const mayBeSkipped = tables(labels).every(
    ([, rows]) => rowsIn(rows, faults) <= Math.floor(MOST_SKIPPED * rows.paths.length),
  );
  const [first, ...others] = [...faults.values()].slice(0, MOST_SHOWN);
  const hints = [first?.hint, mayBeSkipped ? "`on_bad_image: skip` leaves their rows out" : undefined];
  const hint = hints.filter((text) => text !== undefined).join("; ");
  const rest = faults.size - MOST_SHOWN;
  const code = first?.code ?? "E_IMG_FORMAT";
  return new MttcError([
    { code, message: "", ...first, hint },
    ...others,
    ...(rest > 0 ? [{ code, message: `and ${rest} more images` }] : []),
  ]);
}

function refuseTooMany(faults: ReadonlyMap<string, Fault>, labels: RunLabels): void {
  for (const [name, rows] of tables(labels)) {
    const count = rowsIn(rows, faults);
    const most = Math.floor(MOST_SKIPPED * rows.paths.length);
    if (count <= most) continue;
    const shown = [...faults.values()].slice(0, MOST_NAMED);
    const message =
      `${count} of ${rows.paths.length} ${name} rows have images that cannot be read; ` +
      `\`on_bad_image: skip\` leaves out ${most} (1 %) at most`;
    const hint = "mend them, or have `mttc data check --drop` write tables without them";
    throw new MttcError([{ code: shown[0]?.code ?? "E_IMG_FORMAT", message, hint }, ...shown]);
  }
}

function refuseEmptyTasks({ train }: RunLabels): void {
  const faults = [...labelsByTask(train)].flatMap(([task, labels], index): Fault[] => {
    if (countLabelled(labels) > 0) return [];
    const message = `task "${task}" has no label on an image that can be read`;
    return [{ code: "E_TASK_EMPTY", message, at: { path: `tasks[${index}]` } }];
  });
  if (faults.length > 0) throw new MttcError(faults);
}

function reduced(labels: RunLabels, skipped: ReadonlySet<string>): RunImages {
  if (skipped.size === 0) return { labels, leftOut: undefined };
  const { train, val } = labels;
  const left = { ...labels, train: withoutImages(train, skipped), val: val && withoutImages(val, skipped) };
  const counts = tables(labels)
    .map(([name, rows]) => [name, rows, rowsIn(rows, skipped)] as const)
    .filter(([, , count]) => count > 0)
    .map(([name, rows, count]) => `${count} of ${rows.paths.length} ${name} rows`);
  const names = [...skipped].map((path) => basename(path)).sort();
  const rest = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : "";
  const shown = `${names.slice(0, MOST_NAMED).join(", ")}${rest}`;
  return { labels: left, leftOut: `${counts.join(" and ")} left out, their images cannot be read: ${shown}` };
}
