// What a checkpoint must share with the run that goes on from it: the decisive keys of the spec, the
// content of the models that it names, and the training labels. Stored in progress.json; checkpoints of
// earlier versions hold hashes in its place, which are still understood.
import { createHash } from "node:crypto";
import { z } from "zod";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { featureDraws } from "../../compiler/spec/cacheFeatures.ts";
import {
  changedKeys,
  type KeyChange,
  type SettledKeys,
  settleKeys,
} from "../../compiler/spec/decisiveKeys.ts";
import type { Spec, SpecKey } from "../../compiler/spec/schema.ts";
import type { PreparedLabels } from "../labels/classes.ts";
import { labelBytes, rowCount } from "../labels/taskLabels.ts";
import { beginWith } from "./waysOn.ts";

const fingerprintSchema = z.object({
  /** The spec as resolved; of earlier versions a hash of its decisive keys and its models. */
  spec: z.union([z.string(), z.record(z.string(), z.unknown())]),
  /** SHA-256 of the model files. */
  models: z.object({ fcn: z.string().optional(), teacher: z.string().optional() }).default({}),
  /** Hash of classes, labels and image names in their order. */
  data: z.string(),
});

/** What tells whether a checkpoint belongs to a run. */
export type Fingerprint = Readonly<z.output<typeof fingerprintSchema>>;

/** The imported models of a run, as far as they matter here. */
export interface ModelHashes {
  readonly trunk?: { readonly hash: string } | undefined;
  readonly teacher?: { readonly hash: string } | undefined;
}

export function fingerprintOf(spec: Spec, models: ModelHashes, labels: PreparedLabels): Fingerprint {
  const { trunk, teacher } = models;
  return {
    spec,
    models: { ...(trunk && { fcn: trunk.hash }), ...(teacher && { teacher: teacher.hash }) },
    data: hashLabels(labels),
  };
}

/** The fingerprint in a checkpoint's progress. E_CKPT_CORRUPT where it holds none. */
export function readFingerprint(progress: Readonly<Record<string, unknown>>, path: string): Fingerprint {
  const parsed = fingerprintSchema.safeParse(progress.fingerprint);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = ["fingerprint", ...(issue?.path ?? [])].join(".");
  throw new MttcError(
    {
      code: "E_CKPT_CORRUPT",
      message: `progress.json does not hold what mttc wrote: ${place}: ${issue?.message}`,
      at: { file: path },
    },
    { cause: parsed.error },
  );
}

/** A checkpoint beside the run that would go on from it. */
export interface Resumption {
  readonly stored: Fingerprint;
  /** The checkpoint's folder. */
  readonly path: string;
  readonly spec: Spec;
  /** The spec that lies in the run's folder, where it can be read. */
  readonly runSpec: Spec | undefined;
}

/**
 * What the run keeps of keys that were not written. E_CKPT_MISMATCH with every other key in which the spec
 * differs from that of the checkpoint, old value and new. Of an earlier version, whose hash holds the models,
 * too, a difference is refused by `refuseOtherModels`; what it might keep is what spec.yml says, and is right
 * where `isOlderHash` says so.
 */
export function settleSpec(resumption: Resumption, given: ReadonlySet<SpecKey> | undefined): SettledKeys {
  const { stored, spec, runSpec } = resumption;
  if (typeof stored.spec === "string") return settleKeys(olderKeys(runSpec ?? spec), spec, given);
  const settled = settleKeys(stored.spec, spec, given);
  refuseChanges(resumption, settled.refused);
  return settled;
}

/** Whether a checkpoint of an earlier version is of this spec and these models. */
export function isOlderHash({ stored, spec }: Resumption, models: ModelHashes): boolean {
  return stored.spec === olderHash(spec, models);
}

/** E_CKPT_MISMATCH where a model file is not the one that the checkpoint was trained with. */
export function refuseOtherModels(resumption: Resumption, models: ModelHashes): void {
  const { stored, path, spec } = resumption;
  if (typeof stored.spec === "string") {
    refuseOtherHash(resumption, stored.spec, models);
    return;
  }
  const found = { fcn: models.trunk?.hash, teacher: models.teacher?.hash };
  const faults = (["fcn", "teacher"] as const).flatMap((key): Fault[] => {
    if (stored.models[key] === found[key]) return [];
    const message = "the model file is not the one that the checkpoint was trained with: its content differs";
    const hint = `put the file back to go on with this run; ${beginWith(spec.logdir)}`;
    return [{ code: "E_CKPT_MISMATCH", message, at: { file: path, path: key }, hint }];
  });
  if (faults.length > 0) throw new MttcError(faults);
}

/** For checkpoints of earlier versions; where the run's own spec belongs to one, the keys can be named. */
function refuseOtherHash(resumption: Resumption, hash: string, models: ModelHashes): void {
  const { path, spec, runSpec } = resumption;
  if (olderHash(spec, models) === hash) refuseChanges(resumption, changedKeys(olderKeys(spec), spec));
  else if (runSpec && olderHash(runSpec, models) === hash)
    refuseChanges(resumption, changedKeys(runSpec, spec));
  else {
    const message = `${OTHER_SPEC} (or a model file is another); an earlier mttc kept a hash of it alone`;
    throw new MttcError({ code: "E_CKPT_MISMATCH", message, at: { file: path }, hint: waysOn(spec) });
  }
}

const OTHER_SPEC = "the spec is not the one that the checkpoint was trained with";

function waysOn({ logdir }: Spec, changes: readonly KeyChange[] = []): string {
  const rate = changes.some(({ key }) => key === "lr") ? "; --resume --lr N goes on with another rate" : "";
  const back =
    "put the old values back to go on with this run, or choose another `logdir` to train the new spec";
  return `${back}: ${beginWith(logdir)}${rate}`;
}

function refuseChanges({ path: file, spec }: Resumption, changes: readonly KeyChange[]): void {
  if (changes.length === 0) return;
  const code = "E_CKPT_MISMATCH";
  const keys = changes.map(({ key }) => key).join(", ");
  throw new MttcError([
    { code, message: `${OTHER_SPEC}: ${keys}`, at: { file } },
    ...changes.map(({ key, before, now }, i): Fault => {
      const hint = i === changes.length - 1 ? { hint: waysOn(spec, changes) } : {};
      return { code, message: `was ${before}, is ${now}`, at: { path: key }, ...hint };
    }),
  ]);
}

/** Keys that versions before run.json's version 2 hashed, in their order. */
const OLDER_KEYS = [
  ...(["tasks", "classes", "fcn", "train_fcn", "shared_layers", "task_layers", "task_weights"] as const),
  ...(["balance_probs", "balance_classes", "class_weights", "augment", "imshape", "num_channels"] as const),
  ...([
    "bit_depth",
    "norm",
    "single_channel",
    "batch_size",
    "accumulate",
    "pack_format",
    "optimizer",
  ] as const),
  ...(["lr", "lr_decay", "decay_type", "weight_decay", "teacher", "distill_weight"] as const),
  ...(["global_pooling", "kernel_size", "padding", "dropout_rate", "separable", "batchnorm"] as const),
  ...(["sobel", "precision", "strategy", "downstream_labels", "seed"] as const),
] as const satisfies readonly (keyof Spec)[];
const OLDER_FCN_KEYS = ["path", "output", "mean", "std", "scale", "layout", "batchnorm"] as const;

/** What an earlier version knew of a spec. */
function olderKeys(spec: Spec): Readonly<Record<string, unknown>> {
  const { fcn } = spec;
  const settings =
    "path" in fcn ? Object.fromEntries(OLDER_FCN_KEYS.map((key) => [key, fcn[key]])) : { layers: fcn.layers };
  // These could be nothing else, and decide nothing now.
  const off = { downstream_labels: null, strategy: null };
  const known: Readonly<Record<string, unknown>> = { ...spec, fcn: settings, ...off };
  return Object.fromEntries(OLDER_KEYS.map((key) => [key, known[key]]));
}

/** The hash that an earlier version would have made. */
function olderHash(spec: Spec, { trunk, teacher }: ModelHashes): string {
  const keys = { ...olderKeys(spec), feature_draws: featureDraws(spec) };
  return createHash("sha256")
    .update(JSON.stringify([keys, trunk?.hash, teacher?.hash]))
    .digest("hex");
}

/** Rows whose labels are hashed at a time. */
const HASHED_ROWS = 4096;

/** Hash of labels, classes and image names in order, not of where the folder lies. */
export function hashLabels({ train, classes, tasks }: PreparedLabels): string {
  const hash = createHash("sha256").update(JSON.stringify(classes));
  const others = tasks.filter(({ task }) => !Object.hasOwn(classes, task));
  if (others.length > 0) hash.update(JSON.stringify(others));
  const rows = rowCount(train.labels);
  for (let first = 0; first < rows; first += HASHED_ROWS)
    hash.update(labelBytes(train.labels, first, Math.min(rows, first + HASHED_ROWS)));
  for (const path of train.paths) hash.update(`${path.replace(/^.*[\\/]/s, "")}\n`);
  return hash.digest("hex");
}
