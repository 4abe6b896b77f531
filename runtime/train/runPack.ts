// The spec's `pack`: whether a run reads its images from a packed cache, and where that lies.
import { join, resolve } from "node:path";
import type { LabelSpec, RunSpec } from "../../compiler/spec/schema.ts";
import { sparsely } from "../checks/sparseProgress.ts";
import { refuseSameContent } from "../checks/splitLeak.ts";
import { DEFAULT_CACHE_BYTES, type ImageFormat, imageBytes } from "../images/images.ts";
import type { ListedImage } from "../images/listedImage.ts";
import { type PackHandle, preparePack } from "../packs/packedImages.ts";
import { listedImages, type Splits } from "../tables/imageRows.ts";
import { lackOfRoom, sizeText } from "./diskRoom.ts";

const PACK_FOLDER = "cache";

/** What the decision depends on; a training session has all of it. */
export interface PackContext {
  readonly experiment: {
    readonly spec: RunSpec & Pick<LabelSpec, "split_leak">;
    readonly baseDirectory: string;
    readonly cacheFolder?: string | undefined;
  };
  readonly labels: Splits;
  readonly reader: { readonly format: ImageFormat };
  /** The run's folder. */
  readonly directory: string;
}

/** What decides where packs lie. */
interface PackPlace {
  readonly spec: Pick<RunSpec, "pack">;
  readonly baseDirectory: string;
  readonly cacheFolder?: string | undefined;
}

/**
 * Folder of packs: the spec's `pack` where it is a path, else the one that runs share, else `cache` in the
 * run's folder.
 */
export function packFolder({ spec, baseDirectory, cacheFolder }: PackPlace, directory: string): string {
  const isPath = typeof spec.pack === "string" && spec.pack !== "auto";
  if (isPath) return resolve(baseDirectory, String(spec.pack));
  return cacheFolder ?? join(directory, PACK_FOLDER);
}

/**
 * The pack of a run, brought up to date; undefined where the spec's `pack` says so, or "auto" finds
 * that they fit into memory, are read once only, or do not fit on the disk (which `log` is told). Throws what
 * preparePack throws, and E_SPLIT_LEAK.
 */
export async function openPack(
  context: PackContext,
  log: (message: string) => void,
  signal?: AbortSignal,
): Promise<PackHandle | undefined> {
  const { experiment, labels, reader, directory } = context;
  const items = listedImages(labels.train, labels.val);
  if (!(await isPackWanted(context, items, log))) return undefined;
  const summary = await preparePack(items, {
    folder: packFolder(experiment, directory),
    format: reader.format,
    packFormat: experiment.spec.pack_format,
    signal,
    onProgress: sparsely((done, total) => log(`${done} of ${total} images packed`)),
  });
  if (experiment.spec.split_leak === "error") refuseSameContent(labels, summary.hashes);
  const size = `${sizeText(summary.sizeBytes)} in ${summary.folder}`;
  log(`${summary.images} images are read from the packed cache (${size}); ${summary.packed} were packed now`);
  const { folder, packFormat } = summary;
  return { folder, packFormat, format: reader.format };
}

/** Raw pixels are those of decoding, so `auto` may decide; JPEGs are not, so asking for them decides. */
async function isPackWanted(
  { experiment, reader, directory }: PackContext,
  items: readonly ListedImage[],
  log: (message: string) => void,
): Promise<boolean> {
  const { pack, pack_format: packFormat, epochs, logdir } = experiment.spec;
  if (pack !== "auto" || packFormat === "jpeg") return pack !== false;
  const bytes = new Set(items.map(({ path }) => path)).size * imageBytes(reader.format);
  if (bytes <= DEFAULT_CACHE_BYTES || epochs === 1 || logdir === null) return false;
  const room = await lackOfRoom(directory, bytes);
  if (room === undefined) return true;
  const ways = "`pack: true` does it anyway, `pack_format: jpeg` takes a quarter or less";
  log(`the images are decoded in every epoch: packing them takes ${room} (${ways})`);
  return false;
}
