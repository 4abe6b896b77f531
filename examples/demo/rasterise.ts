// Prepares the demo's data: the npm package openmoji -> <folder>/images/*.png, train.csv, val.csv. What is
// already there, and complete, is used again. The pictures are drawn by a child process (rasteriseWorker.ts).
import { fork } from "node:child_process";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { writeFileAtomically } from "../../runtime/files/atomicDirectory.ts";
import { evenlySpread } from "../../runtime/tables/rowOrder.ts";
import { type EmojiRow, formatLabelCsv, readEmojiRows, splitByBase } from "./openmojiTable.ts";

/** What the child is asked to do. */
export interface RasteriseJob {
  readonly files: readonly { readonly source: string; readonly target: string }[];
  /** Width and height of the PNGs in pixels. */
  readonly size: number;
  /** CSS colour behind the transparent parts. */
  readonly background: string;
}

/** What the child says: how many files are done, or why it gave up. */
export type RasteriseReport = { readonly done: number } | { readonly failure: string };

export interface PrepareOptions {
  /** Width and height of the PNGs in pixels; default 48. */
  readonly size?: number;
  /** Draws only so many emojis, evenly spread over the catalogue (for tests). */
  readonly limit?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Where the data lie. */
export interface PreparedOpenmoji {
  readonly trainLabels: string;
  readonly valLabels: string;
  readonly trainCount: number;
  readonly valCount: number;
  /** Absolute or relative paths, as `folder` was, of val's images in the order of the table. */
  readonly valImages: readonly string[];
  /** Whether nothing had to be drawn. */
  readonly reused: boolean;
}

const IMAGES = "images";
const MARKER = "complete.json";
/** To be raised when the pictures or tables come out differently, so that old ones are not used again. */
const RECIPE = 1;

/**
 * Makes the PNGs and label tables under `folder`, about 8 s on two cores. E_FILE or E_DISK if something
 * cannot be read or written, E_INTERRUPTED if `signal` fires; an unfinished folder is completed by the next
 * call.
 */
export async function prepareOpenmoji(
  folder: string,
  options: PrepareOptions = {},
): Promise<PreparedOpenmoji> {
  const { size = 48, limit = Number.POSITIVE_INFINITY, signal } = options;
  const root = dirname(createRequire(import.meta.url).resolve("openmoji/package.json"));
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
  const all = readEmojiRows(await readFile(join(root, "data", "openmoji.json"), "utf8"));
  const rows = evenlySpread(limit, all.length).flatMap((at) => all[at] ?? []);
  const { train, val } = splitByBase(rows);
  const paths = { trainLabels: join(folder, "train.csv"), valLabels: join(folder, "val.csv") };
  const images = join(folder, IMAGES);
  const marker = JSON.stringify({ recipe: RECIPE, openmoji: version, size, images: rows.length });
  const reused = await isComplete(folder, marker, rows);
  if (!reused) {
    await mkdir(images, { recursive: true });
    await rm(join(folder, MARKER), { force: true }); // an interrupted redrawing must not pass for complete
    const files = rows.map(({ hexcode }) => ({
      source: join(root, "color", "svg", `${hexcode}.svg`),
      target: join(images, `${hexcode}.png`),
    }));
    await drawSvgFiles({ files, size, background: "#ffffff" }, options.onProgress, signal);
    await writeFileAtomically(paths.trainLabels, formatLabelCsv(train, IMAGES));
    await writeFileAtomically(paths.valLabels, formatLabelCsv(val, IMAGES));
    await writeFileAtomically(join(folder, MARKER), marker);
  }
  const valImages = val.map(({ hexcode }) => join(images, `${hexcode}.png`));
  return { ...paths, trainCount: train.length, valCount: val.length, valImages, reused };
}

/** Whether the marker, which is written last, is there, and the tables and all images beside it. */
async function isComplete(folder: string, marker: string, rows: readonly EmojiRow[]): Promise<boolean> {
  try {
    if ((await readFile(join(folder, MARKER), "utf8")) !== marker) return false;
    const names = new Set([...(await readdir(folder)), ...(await readdir(join(folder, IMAGES)))]);
    return ["train.csv", "val.csv", ...rows.map(({ hexcode }) => `${hexcode}.png`)].every((name) =>
      names.has(name),
    );
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

/** Draws SVG files as PNG files in a child process. E_FILE, or E_INTERRUPTED if `signal` fires. */
export function drawSvgFiles(
  job: RasteriseJob,
  onProgress?: PrepareOptions["onProgress"],
  signal?: AbortSignal,
): Promise<void> {
  const script = createRequire(import.meta.url).resolve("#rasterise-worker");
  const env = { ...process.env, UV_THREADPOOL_SIZE: String(availableParallelism() + 2) };
  return new Promise<void>((resolve, reject) => {
    const interrupted = (): MttcError => new MttcError({ code: "E_INTERRUPTED", message: "stopped drawing" });
    if (signal?.aborted) return reject(interrupted());
    const child = fork(script, { env });
    const stop = (): boolean => child.kill("SIGKILL");
    signal?.addEventListener("abort", stop);
    let done = 0;
    let failure = "";
    child.on("message", (report: RasteriseReport) => {
      if ("failure" in report) failure = report.failure;
      else {
        done = report.done;
        onProgress?.(done, job.files.length);
      }
    });
    child.on("error", (error) => {
      failure ||= error.message;
    });
    const finish = (): void => {
      signal?.removeEventListener("abort", stop);
      const isDone = failure === "" && done === job.files.length;
      const reason = failure || `the drawing process ended with ${child.signalCode ?? child.exitCode}`;
      if (signal?.aborted) reject(interrupted());
      else if (isDone) resolve();
      else reject(new MttcError({ code: "E_FILE", message: `cannot draw the pictures: ${reason}` }));
    };
    // The last reports may arrive after the exit; the channel closes behind them.
    child.once("exit", () => (child.connected ? child.once("disconnect", finish) : finish()));
    child.send(job);
  });
}
