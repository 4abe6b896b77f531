// What run.json keeps of how a run came to be: the weights that it began with, and changes of its learning
// rate on the way.
import { z } from "zod";

const initSchema = z.object({
  /** As the spec names it. */
  from: z.string(),
  /** What it was: a run, a bundle, a model. */
  kind: z.enum(["run", "bundle", "model"]),
  /** Epochs that its weights were trained, where that is known. */
  epoch: z.int().nonnegative().optional(),
  /** SHA-256 (hex) of the names, shapes and numbers of all its weights. */
  sha256: z.string(),
  /** Parameters of the run, and those of them that were taken. */
  parameters: z.int().nonnegative(),
  taken: z.int().nonnegative(),
});

const changeSchema = z.object({
  key: z.literal("lr"),
  /** Epochs that were finished, and steps of the next one that were, when it was changed. */
  epoch: z.int().nonnegative(),
  step: z.int().nonnegative(),
  from: z.number(),
  to: z.number(),
});

const adoptedSchema = z.object({
  /** What trained it, in its own words. */
  driver: z.string(),
  /** Steps of the optimizer that it did. */
  steps: z.number().nonnegative(),
  /** SHA-256 (hex) of its file. */
  sha256: z.string(),
});

/** Keys of run.json; absent in runs that began with drawn values, and have kept their rate. */
export const originFields = {
  init: initSchema.optional(),
  adopted: adoptedSchema.optional(),
  changes: z.array(changeSchema).optional(),
};

/** The weights that a run began with. */
export type RunInit = Readonly<z.output<typeof initSchema>>;
/** The state, of another program's training, that a run was made of. */
export type RunAdopted = Readonly<z.output<typeof adoptedSchema>>;
/** A change of the learning rate by `--resume --lr`. */
export type RateChange = Readonly<z.output<typeof changeSchema>>;

export interface RunOrigin {
  readonly init: RunInit | undefined;
  readonly adopted?: RunAdopted | undefined;
  /** In order. */
  readonly changes: readonly RateChange[];
}

/** What run.json says of an origin. */
export function storedOrigin(origin: RunOrigin | undefined): {
  init?: RunInit;
  adopted?: RunAdopted;
  changes?: RateChange[];
} {
  const { init, adopted, changes = [] } = origin ?? {};
  return {
    ...{ ...(init && { init }), ...(adopted && { adopted }) },
    ...(changes.length > 0 && { changes: [...changes] }),
  };
}

/** Comments for spec.yml, a line for each rate that has held; none where it was always the one that is. */
export function rateHistory(origin: RunOrigin | undefined): string {
  return (origin?.changes ?? []).map((change) => `# ${rateText(change)}\n`).join("");
}

/** "lr: 0.001 until epoch 6, 0.0001 from epoch 7 on". */
export function rateText({ epoch, step, from, to }: RateChange): string {
  if (epoch === 0 && step === 0) return `lr: ${to} instead of ${from}, from the first step on`;
  if (step === 0) return `lr: ${from} until the end of epoch ${epoch}, ${to} from epoch ${epoch + 1} on`;
  return `lr: ${from} until step ${step} of epoch ${epoch + 1}, ${to} from there on`;
}

/** A sentence on the part of a run that mttc has not seen. */
export function adoptedText({ driver, steps }: RunAdopted): string {
  return `the first ${steps} steps were trained by another program (${driver}), which kept no figures`;
}
