// Keys of the spec that weigh tasks and classes, in the loss and in what is drawn. A part of specSchema.
import { z } from "zod";
import { SMOOTHING } from "../tasks/classTask.ts";
import { MOST_GAMMA } from "../tasks/focalLoss.ts";

/** Longest name of a task; names that are no task's are refused by the rules between keys. */
const MAX_TASK_NAME = 100;
const weightsPhrase = {
  error: 'null, a list of numbers >= 0 (one per task), a map {task: weight} or "adaptive"',
};
const classWeightsPhrase = { error: 'null, "balanced" or a map {task: {class: weight}}' };
const classPhrase = { error: "a class: a non-empty string or an integer" };
const classWeightPhrase = { error: "a number > 0" };
const weightPhrase = { error: "a number >= 0" };

const gammaPhrase = { error: `a number from 0 to ${MOST_GAMMA}` };

const flag = z.boolean({ error: "true or false" });
const taskName = z.string().min(1).max(MAX_TASK_NAME);
const weight = z.number(weightPhrase).min(0, weightPhrase).max(1e30, weightPhrase);
const classWeight = z
  .number(classWeightPhrase)
  .positive(classWeightPhrase)
  .max(1e6, { error: "a number <= 1e6" });

/** The keys, in the order in which the README lists them. */
export const WEIGHT_KEYS = {
  task_weights: z
    .union([z.null(), z.array(weight), z.record(taskName, weight), z.literal("adaptive")], weightsPhrase)
    .default(null)
    .describe(
      'Weights of the tasks\' losses: null is 1 each, a list or a map {task: weight} is fixed, "adaptive" is learned.',
    ),
  balance_probs: flag
    .default(true)
    .describe("Draw training images so that tasks with few labels are seen as often as others."),
  balance_classes: flag
    .default(false)
    .describe("With balance_probs: draw the classes of each task equally often too."),
  class_weights: z
    .union(
      [
        z.null(),
        z.literal("balanced"),
        z.record(taskName, z.record(z.string().min(1, classPhrase).max(1_000, classPhrase), classWeight)),
      ],
      classWeightsPhrase,
    )
    .default(null)
    .describe(
      'Weights of the classes in the loss, sum(w loss) / sum(w): "balanced" (rows / (classes * rows of the ' +
        "class)) or a map {task: {class: weight}}, where what is left out weighs 1. Of tags they weigh those " +
        "that an image has; balanced by (rows without / rows with) the tag.",
    ),
  label_smoothing: SMOOTHING.default(0).describe(
    "Labels of classes as (1 - e) of the class and e / K of each of the K classes; a task's entry may say " +
      "another e. Evaluations go by the labels as they are.",
  ),
  focal_gamma: z
    .number(gammaPhrase)
    .min(0, gammaPhrase)
    .max(MOST_GAMMA, gammaPhrase)
    .default(0)
    .describe(
      "Focal loss of classes and tags: their cross-entropy times (1 - p)^gamma; 0 is the cross-entropy. Or of " +
        "one task: `{name: species, kind: classes, loss: focal, gamma: 2}`.",
    ),
};
