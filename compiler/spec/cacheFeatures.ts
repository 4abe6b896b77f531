// The spec's `cache_features`: whether the features of the FCN can be computed once and read ever after, which
// the spec alone decides. Whether that is worth its place is the runtime's question.
import type { Spec } from "./schema.ts";

/** The keys that decide. */
export type CacheKeys = Pick<Spec, "cache_features" | "train_fcn" | "augment" | "teacher">;

/** Why every step must compute the features of its images; undefined where computing them once will do. */
export function uncachedReason(spec: CacheKeys): { message: string; hint?: string } | undefined {
  if (spec.train_fcn === true)
    return { message: "the fcn is trained, so that its features change with every step" };
  if (spec.teacher !== null)
    return { message: "the teacher looks at the images of every batch, so that they must be read anyway" };
  if (spec.augment !== false && typeof spec.cache_features !== "object")
    return {
      message: "augmentation makes other images in every epoch",
      hint: "`cache_features: {draws: 4}` trains on 4 augmented forms of each image in turn",
    };
  return undefined;
}

/** Whether a bundle of this spec holds graphs that train on features. */
export function cachesFeatures(spec: CacheKeys): boolean {
  return spec.cache_features !== false && uncachedReason(spec) === undefined;
}

/** Augmented forms of each image that are kept; 0: the images as they are. */
export function featureDraws({ cache_features: cache }: Pick<Spec, "cache_features">): number {
  return typeof cache === "object" ? cache.draws : 0;
}
