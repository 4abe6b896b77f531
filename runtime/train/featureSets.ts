// What is computed of the images of a run: sets of images, the forms of each that are kept, and the recipe
// that tells one folder of features from another.
import { createHash } from "node:crypto";
import { imageSize } from "../../compiler/augment/augmentGraph.ts";
import type { StoredManifest } from "../../compiler/bundle/manifest.ts";
import { CONSTANTS_FILE } from "../../compiler/bundle/writeBundle.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import { augmentSettings } from "../../compiler/spec/augmentKeys.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { AUGMENTED_TRUNK } from "../../compiler/step/featureGraphs.ts";
import { drawAugmentRows } from "../augment/augmentRows.ts";
import type { ListedImage } from "../images/listedImage.ts";
import type { OrtHost } from "../ort/ortHost.ts";
import { providerTraits } from "../ort/provider.ts";
import { type RecordKind, SHARD_VERSION } from "../packs/packShard.ts";
import { listedImages, type Splits } from "../tables/imageRows.ts";

/** Images, and what is kept of each. */
export interface FeatureSet {
  readonly kind: RecordKind;
  /** Each path once. */
  readonly items: readonly ListedImage[];
  /** Forms of each image in a record: its augmented draws, or 1, the image as it is. */
  readonly forms: number;
  /** Augmentation parameters, float32 [P], of a form of an image; undefined: the image as it is. */
  readonly augment: ((form: number, item: ListedImage) => Float32Array) | undefined;
}

/** What sets depend on; a training session has all of it. */
export interface FeatureSources {
  readonly experiment: {
    readonly spec: Pick<Spec, "augment" | "seed" | "imshape" | "num_channels">;
    readonly baseDirectory: string;
    readonly cacheFolder?: string | undefined;
  };
  readonly labels: Splits;
  readonly manifest: Pick<StoredManifest, "features" | "files">;
  /** ONNX Runtime's version and where it runs. */
  readonly host: Pick<OrtHost, "version" | "provider">;
}

/** The set of the training images, and that of images that are evaluated: the same without augmentation. */
export interface FeatureSets {
  readonly train: FeatureSet;
  readonly plain: FeatureSet | undefined;
}

/**
 * The sets of a run; undefined where its bundle does not read features. `pixels` is the recipe of the images
 * as they are read.
 */
export function featureSets(sources: FeatureSources, pixels: string): FeatureSets | undefined {
  const { labels, manifest } = sources;
  if (!manifest.features) return undefined;
  if (manifest.features.draws === 0) {
    const all = plainSet(sources, pixels, distinct(listedImages(labels.train, labels.val)));
    return { train: all, plain: all };
  }
  return {
    train: augmentedSet(sources, pixels, distinct(listedImages(labels.train)), manifest.features.draws),
    plain: labels.val && plainSet(sources, pixels, distinct(listedImages(labels.val))),
  };
}

/** Bytes that a set takes on the disk, headers aside. */
export function setBytes({ kind, items }: FeatureSet): number {
  return items.length * (kind.recordBytes ?? 0);
}

function plainSet(sources: FeatureSources, pixels: string, items: readonly ListedImage[]): FeatureSet {
  const recipe = recipeOf(sources, "trunk", { pixels });
  return { kind: kindOf(sources, recipe, []), items, forms: 1, augment: undefined };
}

/** A draw is a function of the place of the image among the training images: their list is in the recipe. */
function augmentedSet(
  sources: FeatureSources,
  pixels: string,
  items: readonly ListedImage[],
  draws: number,
): FeatureSet {
  const { spec } = sources.experiment;
  const { augment, seed } = spec;
  const settings = augmentSettings(augment);
  if (!settings) throw new InternalError("draws of features without augmentation");
  const paths = createHash("sha256");
  for (const { path } of items) paths.update(`${path}\n`);
  const recipe = recipeOf(sources, AUGMENTED_TRUNK, {
    ...{ pixels, draws, seed, augment },
    paths: paths.digest("hex"),
  });
  const places = new Map(items.map(({ path }, place) => [path, place]));
  const size = imageSize(spec);
  return {
    ...{ kind: kindOf(sources, recipe, [draws]), items, forms: draws },
    augment: (form, { path }) =>
      drawAugmentRows({ settings, size, seed, epoch: form + 1 }, places.get(path) ?? 0, 1),
  };
}

/** SHA-256 of the trunk, of what it is shown and of what it runs on. */
function recipeOf({ manifest, host }: FeatureSources, graph: string, shown: object): string {
  const { files } = manifest;
  const trunk = [files[`${graph}.onnx`]?.sha256, files[CONSTANTS_FILE]?.sha256];
  const { version, provider } = host;
  const ort = [version, provider.kind, providerTraits(provider).roundsFactors];
  const parts = { version: SHARD_VERSION, trunk, ort, shown };
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function kindOf({ manifest }: FeatureSources, recipe: string, forms: readonly number[]): RecordKind {
  const shape = [...forms, ...(manifest.features?.shape ?? [])];
  const recordBytes = shape.reduce((product, dim) => product * dim, 4);
  return { recipe, recordBytes, encoding: "float32", shape };
}

function distinct(items: readonly ListedImage[]): ListedImage[] {
  return [...new Map(items.map((item) => [item.path, item])).values()];
}
