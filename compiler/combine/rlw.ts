// Random Loss Weighting: a random factor of each loss in each step, of the host's counter-based streams.
import { type LinearMethod, type MethodFacts, measuredSum } from "./combiner.ts";

const facts: MethodFacts = {
  name: "rlw",
  doc:
    "weighs losses at random, anew in each step: K softmax of normal numbers over the K tasks with a label in the " +
    "batch; the weights sum to K (the authors' to 1)",
  source: "Random Loss Weighting, arXiv 2111.10603",
  settings: {},
};

export const rlw: LinearMethod = {
  ...facts,
  kind: "losses",
  factor: (value) => ({ formula: "random_softmax", value, stream: "combine rlw" }),
  measured: measuredSum(facts),
};
