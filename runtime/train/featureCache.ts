// The spec's `cache_features`: whether a run reads features that the frozen trunk computed once, where they
// lie, and that they are up to date. Session in, batches of features out.
import { access, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type CacheKeys, uncachedReason } from "../../compiler/spec/cacheFeatures.ts";
import type { NetworkSpec, RunSpec, StepSpec } from "../../compiler/spec/schema.ts";
import { FeatureBatches } from "../batches/featureBatches.ts";
import { FeatureStore } from "../batches/featureStore.ts";
import type { ImageStreams } from "../batches/imageStreams.ts";
import { sparsely } from "../checks/sparseProgress.ts";
import { fileError } from "../files/fileSystem.ts";
import { removeLeftovers } from "../files/leftovers.ts";
import { acquireRunLock, PACKING } from "../files/runLock.ts";
import { tidyFolder } from "../files/tidyFolder.ts";
import { DEFAULT_CACHE_BYTES, imageBytes } from "../images/images.ts";
import type { ListedImage } from "../images/listedImage.ts";
import { readShards, verifyShard } from "../packs/packShard.ts";
import { changedItems, entriesOf, type PackEntry, pendingItems, shardsOf } from "../packs/packSources.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { evaluationOrder } from "../tables/rowOrder.ts";
import { lackOfRoom, sizeText } from "./diskRoom.ts";
import {
  type FeatureSet,
  type FeatureSets,
  type FeatureSources,
  featureSets,
  setBytes,
} from "./featureSets.ts";
import { writeFeatures } from "./featureWriter.ts";
import { packFolder } from "./runPack.ts";
import type { TrainingDevice } from "./trainingDevice.ts";

/**
 * Features that do not fit into memory are at most so many times as large as the pixels for `auto`: reading
 * more would take about as long as decoding the image (an estimate: 1 GB/s, and 500 images/s of 256x256).
 */
const MOST_EXPANSION = 8;
const RECIPE_DIGITS = 16;

/** The keys of a spec that decide whether features are kept, and how they are computed. */
type FeatureKeys = CacheKeys &
  Pick<StepSpec, "batch_size" | "accumulate"> &
  Pick<RunSpec, "num_parallel_calls" | "pack">;

/** What the cache works with; a training session has all of it. */
export interface FeatureContext extends FeatureSources {
  readonly experiment: FeatureSources["experiment"] & { readonly spec: FeatureKeys };
  readonly device: Pick<TrainingDevice, "features">;
  /** The run's folder. */
  readonly directory: string;
}

export interface FeatureOptions {
  /** Epochs still to train, one that has begun included. */
  readonly epochsLeft: number;
  /** Reads the images that features are computed of; it need not keep them. */
  readonly reader: ImageStreams;
  /** Recipe of the images as it reads them. */
  readonly pixels: string;
  readonly log: (message: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Batches of one run's features; close it in the end. */
export class FeatureCache implements AsyncDisposable {
  readonly #context: FeatureContext;
  readonly #train: FeatureStore;
  readonly #plain: FeatureStore | undefined;

  private constructor(context: FeatureContext, train: FeatureStore, plain: FeatureStore | undefined) {
    this.#context = context;
    this.#train = train;
    this.#plain = plain;
  }

  /**
   * The features of a run, computed where they are not there yet; undefined where the spec's `cache_features`
   * says so, or auto finds that it does not pay. `log` is told what is done and why. E_DATA_CHANGED (an image
   * is not the one that was computed), E_SHARD_META, E_SHARD_CRC, E_RUN_LOCKED, E_INTERRUPTED, E_DISK, E_FILE
   * and the faults of images.
   */
  static async open(context: FeatureContext, options: FeatureOptions): Promise<FeatureCache | undefined> {
    const sets = featureSets(context, options.pixels);
    if (!sets) {
      const reason = options.epochsLeft > 1 ? reasonAgainst(context) : undefined;
      if (reason !== undefined) options.log(reason);
      return undefined;
    }
    if (!(await pays(context, sets, options))) return undefined;
    const began = performance.now();
    const own = await openSet(context, sets.train, options, DEFAULT_CACHE_BYTES);
    const memoryLeft = DEFAULT_CACHE_BYTES - (own.store.isInMemory ? own.store.sizeBytes : 0);
    const shares = sets.plain === sets.train;
    let other: OpenSet | undefined;
    try {
      if (sets.plain && !shares) other = await openSet(context, sets.plain, options, memoryLeft);
    } catch (error) {
      await own.store[Symbol.asyncDispose]();
      throw error;
    }
    const opened = other ? [own, other] : [own];
    const part = frozenPart(context.experiment.spec);
    options.log(`${statement(sets, opened, (performance.now() - began) / 1000)}: no epoch runs ${part}`);
    return new FeatureCache(context, own.store, shares ? own.store : other?.store);
  }

  /** The batches of an epoch (from 1), as BatchLoader would give them of the images. */
  epoch(epoch: number, order: Int32Array, batchSize: number, startBatch: number): FeatureBatches {
    const { labels, manifest } = this.#context;
    const form = (epoch - 1) % Math.max(1, manifest.features?.draws ?? 0);
    return new FeatureBatches({
      ...{ paths: labels.train.paths, order, batchSize, store: this.#train, form, startBatch },
    });
  }

  /** Batches for an evaluation of rows; undefined where their features are not there as they should be. */
  evaluation(rows: ImageRows, batchSize: number): FeatureBatches | undefined {
    const { labels, manifest } = this.#context;
    const isPlain = rows === labels.val || (rows === labels.train && manifest.features?.draws === 0);
    if (!this.#plain || !isPlain) return undefined;
    const order = evaluationOrder(rows.paths.length, batchSize);
    return new FeatureBatches({ paths: rows.paths, order, batchSize, store: this.#plain, form: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#train[Symbol.asyncDispose]();
    if (this.#plain !== this.#train) await this.#plain?.[Symbol.asyncDispose]();
  }
}

/** What to tell where a frozen trunk runs in every epoch and nobody asked for that. */
function reasonAgainst({ experiment, manifest }: FeatureContext): string | undefined {
  const { cache_features: cache, train_fcn: trained } = experiment.spec;
  if (cache === false || trained === true || manifest.features) return undefined;
  const { message, hint } = uncachedReason(experiment.spec) ?? {
    message: "no single value passes from its frozen part to the trained one",
  };
  return `${frozenPart(experiment.spec)} runs in every epoch: ${message}${hint ? ` (${hint})` : ""}`;
}

function frozenPart({ train_fcn: trained }: Pick<NetworkSpec, "train_fcn">): string {
  return trained === false ? "the frozen fcn" : "the frozen part of the fcn";
}

/** Whether `auto` finds that features are worth their place; what is asked for is. */
async function pays(context: FeatureContext, sets: FeatureSets, options: FeatureOptions): Promise<boolean> {
  const { experiment, directory } = context;
  if (experiment.spec.cache_features !== "auto") return true;
  const isThere = await access(folderOf(context, sets.train)).then(
    () => true,
    () => false,
  );
  if (isThere) return true;
  if (options.epochsLeft < 2) return false;
  const plainBytes = sets.plain && sets.plain !== sets.train ? setBytes(sets.plain) : 0;
  const bytes = setBytes(sets.train) + plainBytes;
  const against = (why: string): false => {
    const part = frozenPart(experiment.spec);
    options.log(`${part} runs in every epoch: ${why} (\`cache_features: true\` keeps them anyway)`);
    return false;
  };
  const expansion =
    (sets.train.kind.recordBytes ?? 0) / (sets.train.forms * imageBytes(options.reader.format));
  if (bytes > DEFAULT_CACHE_BYTES && expansion > MOST_EXPANSION)
    return against(`its features are ${expansion.toFixed(0)} times as large as the images`);
  const room = await lackOfRoom(directory, bytes);
  return room === undefined || against(`its features take ${room}`);
}

interface OpenSet {
  readonly store: FeatureStore;
  readonly folder: string;
  /** Images whose features were computed now. */
  readonly computed: number;
}

async function openSet(
  context: FeatureContext,
  set: FeatureSet,
  options: FeatureOptions,
  memoryBytes: number,
): Promise<OpenSet> {
  const { items, kind, forms } = set;
  const folder = folderOf(context, set);
  let entries = entriesOf(await readShards(folder, kind));
  const advice = `remove ${folder}: the features are computed again`;
  const missing = await changedItems(items, entries, false, advice);
  for (const shard of shardsOf(items, entries)) await verifyShard(shard, kind);
  let computed = 0;
  if (missing.length > 0) {
    computed = await computeMissing(context, set, missing, entries, options);
    entries = entriesOf(await readShards(folder, kind));
  } else await tidyFolder(folder, PACKING);
  const used = new Map<string, PackEntry>();
  for (const { path } of items) {
    const entry = entries.get(path);
    if (entry) used.set(path, entry);
  }
  const store = await FeatureStore.open(used, { kind, forms, memoryBytes });
  return { store, folder, computed };
}

/** Returns of how many images it was done: another process may have been faster. */
async function computeMissing(
  context: FeatureContext,
  set: FeatureSet,
  missing: readonly ListedImage[],
  before: ReadonlyMap<string, PackEntry>,
  { reader, log, signal }: FeatureOptions,
): Promise<number> {
  const { device, experiment } = context;
  const { spec } = experiment;
  const folder = folderOf(context, set);
  const batchSize = spec.batch_size / spec.accumulate;
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw fileError(error, folder, "write");
  });
  await using lock = await acquireRunLock(folder, PACKING);
  for (const note of lock.notes) log(note);
  await removeLeftovers(folder);
  const { items, firstNumber } = await pendingItems(missing, before, folder, set.kind);
  await writeFeatures({
    ...{ folder, kind: set.kind, items, batchSize, reader, signal, parallel: spec.num_parallel_calls },
    firstNumber,
    compute: (images, own) => computeForms(device, set, images, own, batchSize),
    onProgress: sparsely((done) => log(`features of ${done} of ${items.length} images computed`)),
  });
  return items.length;
}

/** Features of a batch of images, one array for each form; the last images may be padding. */
async function computeForms(
  device: FeatureContext["device"],
  { augment, forms }: FeatureSet,
  images: Uint8Array<ArrayBuffer>,
  items: readonly ListedImage[],
  batchSize: number,
): Promise<Float32Array[]> {
  if (!augment) return [await device.features(images)];
  const results: Float32Array[] = [];
  for (let form = 0; form < forms; form++) {
    const rows = Array.from({ length: batchSize }, (_, i) => {
      const item = items[i] ?? items[0];
      return item ? [...augment(form, item)] : [];
    });
    results.push(await device.features(images, Float32Array.from(rows.flat())));
  }
  return results;
}

function folderOf({ experiment, directory }: FeatureContext, { kind }: FeatureSet): string {
  return join(packFolder(experiment, directory), `features-${kind.recipe.slice(0, RECIPE_DIGITS)}`);
}

/** What is read, and what was done for it. */
function statement({ train }: FeatureSets, sets: readonly OpenSet[], seconds: number): string {
  const images = train.items.length;
  const forms = train.augment ? `, ${train.forms} augmented forms of each` : "";
  const bytes = sets.reduce((sum, { store }) => sum + store.sizeBytes, 0);
  const computed = sets.reduce((sum, set) => sum + set.computed, 0);
  const where = sets.every(({ store }) => store.isInMemory) ? "held in memory" : "read from the disk";
  const size = `${sizeText(bytes)} in ${dirname(sets[0]?.folder ?? "")}, ${where}`;
  const now =
    computed > 0 ? `; those of ${computed} images were computed now, in ${seconds.toFixed(1)} s` : "";
  return `training reads the features of ${images} images${forms} (${size})${now}`;
}
