// What a spec says in other words than the schema's: names that other tools have for the same thing, words of
// a list in another case, weights by task. In: raw values. Out: values as the schema has them, or a hint.
import { z } from "zod";
import { suggestName } from "../diagnostics.ts";
import type { AugmentName } from "./augmentKeys.ts";
import type { SpecKey } from "./schema.ts";
import type { RuleFault } from "./specRules.ts";

/** What to write for a name that other training tools use. */
const SYNONYMS: Readonly<Record<string, SpecKey | `augment.${AugmentName}`>> = {
  ...{
    learning_rate: "lr",
    base_lr: "lr",
    initial_lr: "lr",
    lr_schedule: "decay_type",
    scheduler: "decay_type",
  },
  ...{ decay_steps: "lr_decay", warmup_steps: "warmup", onecycle: "one_cycle", use_ema: "ema" },
  ...{ clipnorm: "clip_norm", global_clipnorm: "clip_norm", max_grad_norm: "clip_norm" },
  ...{ gradient_clip_val: "clip_norm", ema_decay: "ema", ema_momentum: "ema", backbone_lr: "layer_lr" },
  ...{ num_epochs: "epochs", n_epochs: "epochs", max_epochs: "epochs", batchsize: "batch_size" },
  ...{ train: "train_labels", train_csv: "train_labels", labels: "train_labels", csv: "train_labels" },
  ...{ val: "val_labels", val_csv: "val_labels", validation: "val_labels", valid_labels: "val_labels" },
  ...{ test: "test_labels", test_csv: "test_labels", holdout: "test_labels" },
  ...{ validation_split: "split", val_split: "split", test_split: "split", val_fraction: "split" },
  ...{ log_dir: "logdir", output_dir: "logdir", save_dir: "logdir", run_dir: "logdir", output: "logdir" },
  ...{
    backbone: "fcn",
    encoder: "fcn",
    trunk: "fcn",
    feature_extractor: "fcn",
    model: "fcn",
    base_model: "fcn",
  },
  ...{ freeze: "train_fcn", trainable: "train_fcn", freeze_backbone: "train_fcn", finetune: "train_fcn" },
  ...{
    image_size: "imshape",
    img_size: "imshape",
    input_size: "imshape",
    input_shape: "imshape",
    size: "imshape",
  },
  ...{ heads: "task_layers", head_layers: "task_layers", hidden_layers: "task_layers" },
  ...{ loss_weights: "task_weights", weights: "task_weights", targets: "tasks", label_columns: "tasks" },
  ...{ channels: "num_channels", in_channels: "num_channels", grayscale: "single_channel" },
  ...{
    grad_accumulation: "accumulate",
    gradient_accumulation_steps: "accumulate",
    micro_batches: "accumulate",
  },
  ...{ num_workers: "num_parallel_calls", workers: "num_parallel_calls", random_seed: "seed" },
  ...{ random_state: "seed", amp: "precision", mixed_precision: "precision", dropout: "dropout_rate" },
  ...{ l2: "weight_decay", wd: "weight_decay", pooling: "global_pooling", batch_norm: "batchnorm" },
  ...{ image_column: "filepaths", path_column: "filepaths", filepath: "filepaths", image_dir: "image_root" },
  ...{ augmentation: "augment", transforms: "augment", data_augmentation: "augment", comment: "notes" },
  ...{ rotate: "augment.rot90", rotation: "augment.rot90", rotation_range: "augment.rot90" },
  ...{ flip: "augment.flip_left_right", hflip: "augment.flip_left_right", mirror: "augment.flip_left_right" },
  ...{ horizontal_flip: "augment.flip_left_right", vflip: "augment.flip_up_down" },
  ...{ vertical_flip: "augment.flip_up_down", zoom: "augment.zoom_scale", crop: "augment.zoom_scale" },
  ...{ random_crop: "augment.zoom_scale", scale: "augment.zoom_scale", zoom_range: "augment.zoom_scale" },
  ...{
    blur: "augment.gaussian_blur",
    noise: "augment.gaussian_noise",
    brightness: "augment.brightness_delta",
  },
  ...{ contrast: "augment.contrast_delta", saturation: "augment.saturation_delta", hue: "augment.hue_delta" },
  ...{ color_jitter: "augment.jitter", cutout: "augment.mask", random_erasing: "augment.mask" },
  ...{ to_gray: "augment.drop_color", shear_range: "augment.shear", jpeg: "augment.jpeg_degrade" },
};

/**
 * What was probably meant by an unknown key of the map at `parent` ("" or "augment"), whose own keys are
 * `known`: another tool's name for one, else the nearest names.
 */
export function unknownKeyHint(name: string, parent: string, known: readonly string[]): string {
  const key = name.toLowerCase().replaceAll("-", "_");
  const meant = Object.hasOwn(SYNONYMS, key) ? SYNONYMS[key] : undefined;
  if (meant === undefined) return suggestName(name, known);
  const [outer = "", inner] = meant.includes(".") ? meant.split(".") : ["", meant];
  if (outer === parent) return `did you mean "${inner}"?`;
  if (known.includes(meant)) return `did you mean "${meant}"?`;
  return outer === ""
    ? `"${inner}" is a key of the spec itself`
    : `did you mean "${inner}" under \`${outer}\`?`;
}

/** `value` with the words of the schema's own lists as the schema spells them: Adam is adam. */
export function inKnownCase(schema: z.core.$ZodType, value: unknown): unknown {
  if (Array.isArray(value)) {
    const element = formsOf(schema).find((form) => form instanceof z.ZodArray)?.def.element;
    return element ? value.map((each) => inKnownCase(element, each)) : value;
  }
  if (typeof value === "object" && value !== null) {
    const shapes = formsOf(schema).flatMap((form) => (form instanceof z.ZodObject ? [form.def.shape] : []));
    const entries = Object.entries(value).map(([key, each]) => {
      const fields = shapes.flatMap((shape) => (Object.hasOwn(shape, key) ? [shape[key]] : []));
      return [
        key,
        fields.reduce<unknown>((known, field) => (field ? inKnownCase(field, known) : known), each),
      ];
    });
    return shapes.length > 0 ? Object.fromEntries(entries) : value;
  }
  if (typeof value !== "string") return value;
  const forms = formsOf(schema);
  const words = forms.flatMap((form) => {
    if (form instanceof z.ZodEnum) return form.options.map(String);
    return form instanceof z.ZodLiteral ? [...form.def.values].map(String) : [];
  });
  // Any other text may be meant as it stands: a folder named Auto.
  if (words.includes(value) || forms.some((form) => form instanceof z.ZodString)) return value;
  return words.find((word) => word.toLowerCase() === value.toLowerCase()) ?? value;
}

/** The forms that a schema takes, without what is put around them. */
function formsOf(schema: z.core.$ZodType): readonly z.core.$ZodType[] {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return formsOf(schema.def.innerType);
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return formsOf(schema.def.innerType);
  if (schema instanceof z.ZodUnion) return schema.def.options.flatMap(formsOf);
  if (!(schema instanceof z.ZodPipe)) return [schema];
  return formsOf(schema.def.in instanceof z.ZodTransform ? schema.def.out : schema.def.in);
}

/** Weights given by task's name, in the order of the tasks, and what is wrong with them. */
export function weightsInOrder(
  byTask: Readonly<Record<string, number>>,
  tasks: readonly string[],
): { readonly weights: readonly number[]; readonly faults: readonly RuleFault[] } {
  const faults: RuleFault[] = Object.keys(byTask)
    .filter((name) => !tasks.includes(name))
    .map((name) => ({
      path: ["task_weights", name],
      message: `a weight of an unknown task "${name}"`,
      hint: suggestName(name, tasks),
      key: true,
    }));
  const weights = tasks.map((task) => {
    const weight = Object.hasOwn(byTask, task) ? byTask[task] : undefined;
    if (weight === undefined)
      faults.push({ path: ["task_weights"], message: `no weight for task "${task}"` });
    return weight ?? 0;
  });
  return { weights, faults };
}
