// The spec of an experiment: every key, its default, what it may be and what it means, in one zod schema.
// The parser, the JSON Schema for editors and the README's table are all generated from it.
// Each `error` phrase completes the sentence "expected ..."; keys of later work accept their off value alone.
import { z } from "zod";
import { AUGMENT_KEYS, AUGMENT_NAMES, type AugmentName, resolveAugment } from "./augmentKeys.ts";
import { LABEL_KEYS } from "./labelKeys.ts";
import { WEIGHT_KEYS } from "./weightKeys.ts";

/** How a refusal of something that later work will bring begins; the parser prints such a phrase as it is. */
export const NOT_YET = "not available yet: ";

const MAX_FILTERS = 65_536;
const MAX_SIDE = 8_192;

function phrase(expected: string) {
  return { error: expected };
}

function integer(from: number, to: number, expected = `an integer from ${from} to ${to}`) {
  return z.int(phrase(expected)).min(from, phrase(expected)).max(to, phrase(expected));
}

function atLeastZero(expected: string) {
  return z.number(phrase(expected)).min(0, phrase(expected)).max(1e30, phrase(expected));
}

const flag = z.boolean(phrase("true or false"));

function text(what: string) {
  return z
    .string(phrase(what))
    .min(1, phrase(what))
    .max(4_096, phrase(what))
    .refine((value) => !value.includes("\0"), phrase(`${what}, without NUL characters`));
}

/** A key whose work comes later: `off` is all it may be, anything else is refused by name. */
function later<const T extends string | number | boolean | null>(name: string, off: T) {
  return z.literal(off, phrase(`${NOT_YET}${name}`)).default(off as never);
}

const layerPhrase = `a number of filters (1 to ${MAX_FILTERS}), "p", "d" or "r"`;
const layerEntry = z.union([integer(1, MAX_FILTERS), z.enum(["p", "d", "r"])], phrase(layerPhrase));

function layers(most = 1_000) {
  const expected = `a list of at most ${most} layers`;
  return z.array(layerEntry, phrase(expected)).max(most, phrase(expected));
}

const FORBIDDEN_NAMES = new Set(["__proto__", "constructor", "prototype"]);
const taskPhrase =
  "a task's name: 1 to 100 characters, no / \\ : or control characters, no leading dot or space";

function isTaskName(name: string): boolean {
  return name.length <= 100 && /^[^./\\:\s\p{Cc}][^/\\:\p{Cc}]*$/u.test(name) && !FORBIDDEN_NAMES.has(name);
}

const taskName = z.string(phrase(taskPhrase)).refine(isTaskName, phrase(taskPhrase));
const classPhrase = "a class: a non-empty string or an integer";
const className = z
  .union([z.string().min(1), z.int()], phrase(classPhrase))
  .transform((name: string | number): string => String(name));
const classesPhrase = "a map from a task's name to a list of two or more classes";
const sidePhrase = `[height, width] or one number for both, each from 1 to ${MAX_SIDE}`;
const trainFcnPhrase = "true, false or {from: name of a node}";
const fcnPhrase = "a map {layers: [...]}, the path of a model file (.onnx, .h5, .keras) or a map {path: ...}";
const channelsPhrase = "a number, or a list of one number per channel";
const cachePhrase = '"auto", true, false or {draws: n}';
const packPhrase = '"auto", true, false or the path of a folder';

/** One number, or one per channel; null leaves the images as they are. */
function perChannel() {
  const list = z
    .array(z.number(phrase(channelsPhrase)), phrase(channelsPhrase))
    .min(1)
    .max(16);
  const one = z.number().transform((value: number): number[] => [value]);
  return z.union([z.null(), one, list], phrase(channelsPhrase)).default(null);
}

/** Tensors of a model file, by name. */
function tensorNames() {
  const expected = "a list of names of tensors in the model file";
  const name = z.string(phrase(expected)).min(1, phrase(expected));
  return z.array(name, phrase(expected)).default([]);
}

/** A pretrained network as the feature extractor. */
const importedFcn = z.strictObject({
  path: text("the path of a model file (.onnx, .h5, .keras)").describe("The model file."),
  output: text("the name of a value").nullable().default(null).describe("The value that is the feature map."),
  mean: perChannel().describe("Subtracted from the scaled pixels."),
  std: perChannel().describe("Divides the centred pixels."),
  scale: z
    .number(phrase("a number"))
    .nullable()
    .default(null)
    .describe("Factor of the pixels, in place of 1/norm."),
  layout: z
    .enum(["auto", "NCHW", "NHWC"], phrase('"auto", "NCHW" or "NHWC"'))
    .default("auto")
    .describe("Layout of the model's image input."),
  batchnorm: z
    .enum(["frozen", "train"], phrase('"frozen" or "train"'))
    .default("frozen")
    .describe("Whether the trained part's batch norms train their statistics."),
  train: tensorNames().describe(
    "Tensors that are trained though they look like constants of the arithmetic.",
  ),
  fixed: tensorNames().describe("Tensors that are never trained."),
});

/** Keys of a pretrained network as the feature extractor. */
export const IMPORTED_FCN_KEYS = Object.keys(importedFcn.shape);

/** The settings of an imported feature extractor. */
export type ImportedFcn = Readonly<z.output<typeof importedFcn>>;

/** The feature extractor as layers. */
const layeredFcn = z.strictObject(
  {
    layers: layers().min(1, phrase("at least one layer")).describe("The layers, from the image on."),
  },
  {
    error: (issue) => {
      if (issue.code === "unrecognized_keys") return undefined;
      return fcnPhrase;
    },
  },
);

const fcn = z.preprocess(
  (value) => (typeof value === "string" ? { path: value } : value),
  z.union([layeredFcn, importedFcn], phrase(fcnPhrase)),
);

const augmentPhrase = "true, false or a map of operations";

/** An augmentation operation: a flag, or a number; true is its usual number, false and null are off. */
function augmentEntry(name: AugmentName) {
  const { kind, least, most, normal, doc } = AUGMENT_KEYS[name];
  if (kind === "flag") return flag.nullish().describe(`${doc}.`);
  const expected = `a number from ${least} to ${most}, true (${normal}) or false`;
  const number = z.number(phrase(expected)).min(least, phrase(expected)).max(most, phrase(expected));
  return z.union([number, z.boolean()], phrase(expected)).nullish().describe(`${doc}; usually ${normal}.`);
}

const augmentMap = z.strictObject(
  Object.fromEntries(AUGMENT_NAMES.map((name) => [name, augmentEntry(name)])) as Record<
    AugmentName,
    ReturnType<typeof augmentEntry>
  >,
  { error: (issue) => (issue.code === "unrecognized_keys" ? undefined : augmentPhrase) },
);

const augment = z
  .union([z.boolean(), augmentMap], phrase(augmentPhrase))
  .transform(resolveAugment)
  .prefault(false);

/** Every key of a spec, in the order in which the README lists them. */
export const specSchema = z.strictObject({
  logdir: text("the path of a folder")
    .nullable()
    .default(null)
    .describe("Folder that the run is written to: log, checkpoints, spec as resolved."),
  train_labels: text("the path of a label table")
    .nullable()
    .default(null)
    .describe(
      "Label table (.csv, .tsv, .jsonl, .parquet) with a column of image paths and a column per task; empty " +
        "cells are missing labels. Or, for one task, a folder with a folder of images per class.",
    ),
  val_labels: text("the path of a label table")
    .nullable()
    .default(null)
    .describe("Label table of the same form, for evaluation after each epoch."),
  filepaths: text("the name of a column").default("filepath").describe("Name of the column of image paths."),
  tasks: z
    .array(taskName, phrase("a list of task names (columns of the label table)"))
    .min(1, phrase("at least one task"))
    .max(1_000, phrase("at most 1000 tasks"))
    .describe("The tasks: names of label columns, one head each."),
  classes: z
    .record(
      z.string(),
      z
        .array(className, phrase("a list of classes"))
        .min(2, phrase("two or more classes"))
        .max(100_000, phrase("at most 100000 classes")),
      phrase(classesPhrase),
    )
    .default({})
    .describe("Classes per task in their order; a task without an entry takes those of the training labels."),
  ...LABEL_KEYS,
  fcn: fcn.describe(
    "The feature extractor (FCN), shared by all tasks: `{layers: [16, p, 32]}`, the path of a model (.onnx, .h5, " +
      ".keras), or `{path, output, mean, std, scale, layout, batchnorm, train, fixed}`.",
  ),
  train_fcn: z
    .union(
      [z.boolean(), z.strictObject({ from: text("the name of a node of the fcn") })],
      phrase(trainFcnPhrase),
    )
    .default(false)
    .describe(
      "Whether the FCN is trained: false freezes it to the bit, `{from: name}` trains it from a node on.",
    ),
  shared_layers: layers().default([]).describe("Trained layers between the FCN and the heads."),
  task_layers: layers()
    .default([128, "p", 128])
    .describe("Hidden layers of each head, before global pooling and the dense layer."),
  ...WEIGHT_KEYS,
  augment: augment.describe(
    "Augmentation of the training images: true for patchwork's usual operations, or a map of operations with " +
      "their numbers (see Augmentation).",
  ),
  imshape: z
    .union(
      [
        z.tuple([integer(1, MAX_SIDE), integer(1, MAX_SIDE)], phrase(sidePhrase)),
        integer(1, MAX_SIDE, sidePhrase).transform((side): [number, number] => [side, side]),
      ],
      phrase(sidePhrase),
    )
    .prefault([256, 256])
    .describe("Height and width that images are resized to; one number for both."),
  num_channels: integer(1, 16)
    .default(3)
    .describe(
      "Channels of the images: 3, 1 (grey) or 4 (with alpha); of a TIFF its bands, up to 16. A file that has another " +
        "number is refused.",
    ),
  bit_depth: z
    .literal([8, 16, 32], phrase("8, 16 or 32"))
    .default(8)
    .describe(
      "Bits of a channel as read: 8, 16 (unsigned) or 32 (floats). Wider PNGs are reduced to 8 bits; a TIFF's numbers " +
        "are never scaled, and one whose numbers do not fit is refused. 16 and 32 need `norm`.",
    ),
  norm: z
    .number(phrase("a number > 0"))
    .positive(phrase("a number > 0"))
    .max(1e30, phrase("a number > 0"))
    .default(255)
    .describe("Pixel values (0 to 255, or as `bit_depth` reads them) are divided by this."),
  nodata: z
    .union([z.literal("refuse"), z.number()], phrase('"refuse" or a number'))
    .default("refuse")
    .describe(
      "What pixels become that a TIFF itself marks as missing (GDAL_NODATA, such as -9999): a number, or the image is refused.",
    ),
  max_megapixels: integer(1, 1_000)
    .default(50)
    .describe(
      "Images of more pixels are refused; memory grows with it (4 bytes and more a pixel and thread).",
    ),
  single_channel: flag
    .default(false)
    .describe("Read images as greyscale and repeat that channel num_channels times."),
  batch_size: integer(1, 65_536).default(64).describe("Images per step of the optimizer."),
  accumulate: integer(1, 65_536)
    .default(1)
    .describe("Micro-batches that a batch is cut into, to save memory; must divide batch_size."),
  num_parallel_calls: z
    .union([z.literal(-1), integer(1, 1_024)], phrase("-1 (automatic) or an integer from 1 to 1024"))
    .default(-1)
    .describe("Images read at the same time; -1 chooses by the machine."),
  pack: z
    .union([z.literal("auto"), z.boolean(), text("a folder")], phrase(packPhrase))
    .default("auto")
    .describe(
      "Keep the decoded images on disk, so that later epochs decode nothing: true in `logdir`/cache, a path in a folder " +
        "that runs share, false never, auto where they do not fit into memory.",
    ),
  cache_features: z
    .union(
      [
        z.literal("auto"),
        z.boolean(),
        z.strictObject({ draws: integer(1, 1_000).describe("Augmented forms of each image.") }),
      ],
      phrase(cachePhrase),
    )
    .default("auto")
    .describe(
      "Compute the features of a frozen FCN once, and train every epoch on those: auto where it gives the same " +
        "numbers and pays, `{draws: n}` with n augmented forms of each image in turn, false never.",
    ),
  pack_format: z
    .enum(["raw", "jpeg"], phrase('"raw" or "jpeg"'))
    .default("raw")
    .describe(
      "How `pack` keeps images: raw pixels, exactly those of decoding, or jpeg, lossy (by 1 to 4 of 255 on average), in " +
        "a quarter to a tenth of the space, decoded at each read; jpeg packs where `pack` is auto, too.",
    ),
  image_root: text("a folder")
    .nullable()
    .default(null)
    .describe(
      "Folder that all images of the label tables must lie in (/ allows any); null: the table's own folder or the spec's.",
    ),
  split_leak: z
    .enum(["error", "allow"], phrase('"error" or "allow"'))
    .default("error")
    .describe(
      "What an image that is in the training and the validation labels is; evaluation would flatter.",
    ),
  on_bad_image: z
    .enum(["stop", "skip"], phrase('"stop" or "skip"'))
    .default("stop")
    .describe(
      "What an image is that cannot be read: stop looks at the head and the end of every file before the first epoch, " +
        "skip decodes all of them and leaves their rows out, 1 % of a table at most.",
    ),
  epochs: integer(1, 1_000_000).default(10).describe("Epochs that `mttc train` runs."),
  optimizer: z
    .enum(["adam", "adamw", "momentum"], {
      error: (issue) => (issue.input === "lars" ? `${NOT_YET}lars` : '"adam", "adamw" or "momentum"'),
    })
    .default("adam")
    .describe("Optimizer, in Keras's form."),
  lr: z
    .number(phrase("a number > 0"))
    .positive(phrase("a number > 0"))
    .max(1e6, phrase("a number <= 1e6"))
    .default(1e-3)
    .describe("Learning rate."),
  lr_decay: later("lr_decay", 0).describe("Steps of the learning rate's decay; 0 keeps it constant."),
  decay_type: later("decay_type", "exponential").describe("Form of the learning rate's decay."),
  weight_decay: atLeastZero("a number >= 0")
    .default(0)
    .describe("L2 penalty on the trained kernels (adamw: decoupled decay)."),
  teacher: text("the path of a model file")
    .nullable()
    .default(null)
    .describe(
      "Model to distill from (.onnx, .h5, .keras): an image in, probabilities per task out (an export of mttc, say).",
    ),
  distill_weight: atLeastZero("a number >= 0")
    .default(0)
    .describe("Weight of the distillation loss, the mean KL(teacher || student) summed over the heads."),
  global_pooling: z
    .enum(["max", "average"], phrase('"max" or "average"'))
    .default("max")
    .describe("Pooling over the image at the end of each head."),
  kernel_size: integer(1, 63).default(3).describe("Side of the convolutions' kernels."),
  padding: z
    .enum(["same", "valid"], phrase('"same" or "valid"'))
    .default("same")
    .describe("Padding of the convolutions."),
  dropout_rate: z
    .number(phrase("a number >= 0 and < 1"))
    .min(0, phrase("a number >= 0 and < 1"))
    .lt(1, phrase("a number >= 0 and < 1"))
    .default(0.5)
    .describe('Rate of the "d" layers: the share of whole channels that is dropped.'),
  separable: flag.default(false).describe("Depthwise separable convolutions."),
  batchnorm: flag.default(false).describe("Batch normalisation after each convolution."),
  sobel: flag
    .default(false)
    .describe(
      "Edges in place of colours, as patchwork has it: the mean of the channels, Sobel filtered down and across, and " +
        "zeros, so that the network takes 3 channels. A part of the graph, exports included.",
    ),
  precision: z
    .enum(["fp32", "tf32", "fp16"], phrase('"fp32", "tf32" or "fp16"'))
    .default("fp32")
    .describe(
      "Arithmetic of the training step on CUDA: tf32 rounds the inputs of products, fp16 computes in half with scaled losses. The CPU computes in fp32.",
    ),
  strategy: later("strategy", null).describe("Training on several devices."),
  downstream_labels: later("downstream_labels", null).describe("Labels for linear probes of the features."),
  seed: integer(0, Number.MAX_SAFE_INTEGER, "an integer from 0 to 2^53 - 1")
    .default(0)
    .describe("Seed of initial values, sampling and dropout."),
  notes: z.string(phrase("text")).nullable().default(null).describe("Free text, kept with the run."),
});

/** A spec with all defaults filled in, its task weights in the order of the tasks. */
export type Spec = Readonly<
  Omit<z.output<typeof specSchema>, "task_weights"> & {
    task_weights: readonly number[] | "adaptive" | null;
  }
>;
/** A spec as the user gives it: `tasks` and `fcn` are required, all else has a default. */
export type SpecInput = Readonly<z.input<typeof specSchema>>;
/** One entry of the layer language: filters of a convolution, "p" pool, "d" dropout, "r" residual block. */
export type LayerEntry = Spec["task_layers"][number];
/** Name of a key of the spec. */
export type SpecKey = keyof Spec;
/** All keys, in the schema's order. */
export const SPEC_KEYS = Object.keys(specSchema.shape) as readonly SpecKey[];
