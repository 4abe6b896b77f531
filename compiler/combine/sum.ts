// The sum of the tasks' gradients, which is the gradient of the sum of their losses.
import type { LinearMethod } from "./combiner.ts";

export const sum: LinearMethod = {
  name: "sum",
  doc: "the gradient of the sum of the weighted losses",
  source: "the usual objective",
  settings: {},
};
