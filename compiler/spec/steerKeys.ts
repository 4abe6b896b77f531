// Keys of the spec that steer the optimizer through a run: how its learning rate goes, what bounds a step,
// and the average of the weights that is kept beside them. A part of specSchema.
import { z } from "zod";
import { atLeastZero, integer, phrase } from "./keyKinds.ts";

/** More steps than any run has. */
const MOST_STEPS = 1_000_000_000;
const DECAY_TYPES = ["exponential", "staircase", "cosine", "warmupcosine"] as const;
const decayPhrase = 'one of "exponential", "staircase", "cosine", "warmupcosine"';
const cyclePhrase = "true, false or a number of steps from 2 on";
const factorPhrase = "a number > 0 (train_fcn: false freezes)";
const factor = z
  .number(phrase(factorPhrase))
  .positive(phrase(factorPhrase))
  .max(1e6, phrase("a number <= 1e6"));
const layerPhrase = "a number > 0 (of the fcn) or a map of fcn, shared_layers and task_layers";
const normPhrase = "null or a number > 0";
const boundPhrase = "null or a number > 0";
const emaPhrase = "a number from 0 to below 1";

/** How the learning rate goes, in the order in which the keys are listed. */
export const SCHEDULE_KEYS = {
  lr_decay: integer(0, MOST_STEPS)
    .default(0)
    .describe("Steps of the learning rate's decay, see decay_type; 0 keeps it constant."),
  decay_type: z
    .enum(DECAY_TYPES, phrase(decayPhrase))
    .default("exponential")
    .describe(
      "Form of the decay: exponential halves the rate in lr_decay steps, staircase halves it after each, cosine goes " +
        "to 0 and starts again, each time over twice the steps, warmupcosine goes to 1 % after `warmup`.",
    ),
  warmup: integer(0, MOST_STEPS)
    .nullable()
    .default(null)
    .describe(
      "Steps over which the learning rate rises from 0, before its decay begins; null is 0, with warmupcosine 5000.",
    ),
  one_cycle: z
    .union([z.boolean(), integer(2, MOST_STEPS, cyclePhrase)], phrase(cyclePhrase))
    .default(false)
    .describe(
      "One cycle in place of a decay: from lr / 25 up to lr in the first 30 %, then down to nothing: true over the " +
        "whole run, or a number of steps.",
    ),
};

/** What else bounds or averages what the optimizer does. */
export const STEER_KEYS = {
  clip_norm: z
    .number(phrase(normPhrase))
    .positive(phrase(normPhrase))
    .max(1e30, phrase(normPhrase))
    .nullable()
    .default(null)
    .describe(
      "Largest norm of the gradient of a whole batch, all parameters together: a larger one is scaled down to it.",
    ),
  ema: atLeastZero(emaPhrase)
    .max(1 - 1e-9, phrase(emaPhrase))
    .default(0)
    .describe(
      "Decay of a moving average of the weights, evaluated and exported in their place (0.999, say); 0: none.",
    ),
  layer_lr: z
    .union(
      [
        factor,
        z.strictObject({
          fcn: factor.default(1).describe("Factor of the fcn."),
          shared_layers: factor.default(1).describe("Factor of the shared layers."),
          task_layers: factor.default(1).describe("Factor of all heads."),
        }),
      ],
      phrase(layerPhrase),
    )
    .default(1)
    .describe(
      "Factor of the learning rate of a trained fcn (0.1, say), or a map of fcn, shared_layers and task_layers.",
    ),
  max_task_weight: z
    .number(phrase(boundPhrase))
    .positive(phrase(boundPhrase))
    .max(1e18, phrase("a number <= 1e18"))
    .nullable()
    .default(null)
    .describe(
      "Largest weight that a task may learn (task_weights: adaptive): that of a solved task grows without end.",
    ),
};
