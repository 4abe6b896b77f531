// The section of the spec about a training step: what a batch holds, how its losses are weighed and summed,
// and how the optimizer goes on from there.
import { z } from "zod";
import { COMBINE_KEYS } from "./combineKeys.ts";
import { atLeastZero, decides, integer, phrase, text } from "./keyKinds.ts";
import { SCHEDULE_KEYS, STEER_KEYS } from "./steerKeys.ts";
import { WEIGHT_KEYS } from "./weightKeys.ts";

/** The keys, in the order in which the README lists them. */
export const STEP_KEYS = {
  batch_size: integer(1, 65_536).default(64).describe("Images per step of the optimizer."),
  accumulate: integer(1, 65_536)
    .default(1)
    .describe("Micro-batches that a batch is cut into, to save memory; must divide batch_size."),
  ...WEIGHT_KEYS,
  ...COMBINE_KEYS,
  optimizer: z
    .enum(["adam", "adamw", "momentum", "lars"], phrase('"adam", "adamw", "momentum" or "lars"'))
    .default("adam")
    .describe("Optimizer, in Keras's form; lars in that of SimCLR, whose lr is near 1."),
  lr: z
    .number(phrase("a number > 0"))
    .positive(phrase("a number > 0"))
    .max(1e6, phrase("a number <= 1e6"))
    .default(1e-3)
    .describe("Learning rate."),
  ...SCHEDULE_KEYS,
  weight_decay: atLeastZero("a number >= 0")
    .default(0)
    .describe("L2 penalty on the trained kernels (adamw: decoupled decay; lars: part of what it scales)."),
  ...STEER_KEYS,
  teacher: text("the path of a model file")
    .nullable()
    .default(null)
    .describe(
      "Model to distill from (.onnx, .h5, .keras): an image in, probabilities per task out (an export of mttc, say).",
    )
    .meta(decides("nothing")),
  distill_weight: atLeastZero("a number >= 0")
    .default(0)
    .describe(
      "Weight of the distillation loss, the mean KL(teacher || student) summed over the heads (of numbers the squared difference in deviations).",
    ),
  precision: z
    .enum(["fp32", "tf32", "fp16"], phrase('"fp32", "tf32" or "fp16"'))
    .default("fp32")
    .describe(
      "Arithmetic of the training step on CUDA: tf32 rounds the inputs of products, fp16 computes in half with scaled losses. The CPU computes in fp32.",
    ),
  seed: integer(0, Number.MAX_SAFE_INTEGER, "an integer from 0 to 2^53 - 1")
    .default(0)
    .describe("Seed of initial values, sampling and dropout."),
};
