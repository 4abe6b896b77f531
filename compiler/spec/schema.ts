// The spec of an experiment: every key, its default, what it may be and what it means, in one zod schema put
// together of sections. The parser, the JSON Schema for editors and the README's table are all generated from
// it. Each `error` phrase completes the sentence "expected ..."; keys of later work accept their off value
// alone.
import { z } from "zod";
import { IMAGE_KEYS } from "./imageKeys.ts";
import { LABEL_KEYS } from "./labelKeys.ts";
import { NETWORK_KEYS } from "./networkKeys.ts";
import { RUN_KEYS } from "./runKeys.ts";
import { STEP_KEYS } from "./stepKeys.ts";

/** Every key of a spec, in the order in which the README lists them. */
export const specSchema = z.strictObject({
  ...LABEL_KEYS,
  ...IMAGE_KEYS,
  ...NETWORK_KEYS,
  ...STEP_KEYS,
  ...RUN_KEYS,
});

/** A spec with all defaults filled in, its tasks by name, task weights and kinds in their order. */
export type Spec = Readonly<
  Omit<z.output<typeof specSchema>, "tasks" | "task_weights"> & {
    /** Names alone; `task_kinds` says which of them are not of classes. */
    tasks: readonly string[];
    task_weights: readonly number[] | "adaptive" | null;
  }
>;
/** A spec as the user gives it: `tasks` and `fcn` are required, all else has a default. */
export type SpecInput = Readonly<z.input<typeof specSchema>>;
/** Labels: their tables, columns and classes, and where the images that they name may lie. */
export type LabelSpec = Pick<Spec, keyof typeof LABEL_KEYS>;
/** Images: the size and the numbers that they are read as, and how training images are augmented. */
export type ImageSpec = Pick<Spec, keyof typeof IMAGE_KEYS>;
/** The network: feature extractor, shared layers, heads. */
export type NetworkSpec = Pick<Spec, keyof typeof NETWORK_KEYS>;
/** A training step: what a batch holds, its losses, the optimizer. */
export type StepSpec = Pick<Spec, keyof typeof STEP_KEYS>;
/** A run: where it is written, how long it goes on, what it keeps at hand. */
export type RunSpec = Pick<Spec, keyof typeof RUN_KEYS>;
/** Images and the network on them: all that a trained model is made of. */
export type ModelSpec = ImageSpec & NetworkSpec;
/** The settings of an imported feature extractor. */
export type ImportedFcn = Extract<NetworkSpec["fcn"], { readonly path: string }>;
/** One entry of the layer language: filters of a convolution, "p" pool, "d" dropout, "r" residual block. */
export type LayerEntry = Spec["task_layers"][number];
/** Name of a key of the spec. */
export type SpecKey = keyof Spec;
/** All keys, in the schema's order. */
export const SPEC_KEYS = Object.keys(specSchema.shape) as readonly SpecKey[];

function keysOf<Shape extends object>(shape: Shape): readonly (keyof Shape)[] {
  return Object.keys(shape) as (keyof Shape)[];
}

/** The keys by section, in the schema's order. */
export const SECTION_KEYS = {
  labels: keysOf(LABEL_KEYS),
  images: keysOf(IMAGE_KEYS),
  network: keysOf(NETWORK_KEYS),
  step: keysOf(STEP_KEYS),
  run: keysOf(RUN_KEYS),
} as const;
