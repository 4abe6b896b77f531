// Dynamic Weight Average: a factor of each loss by how fast it fell lately. The host knows the losses of the
// epochs.
import { type LinearMethod, type MethodFacts, measuredSum } from "./combiner.ts";

const facts: MethodFacts = {
  name: "dwa",
  doc:
    "weighs losses by how slowly they fall: K softmax(L(t-1) / L(t-2) / temperature) of the epochs' mean losses, 1 " +
    "each in the first two epochs; the weights sum to the number of tasks",
  source: "Dynamic Weight Average, arXiv 1803.10704",
  settings: {
    temperature: {
      default: 2,
      least: 0.01,
      most: 1000,
      doc: "Of the softmax: more makes weights more alike.",
    },
  },
};

export const dwa: LinearMethod = {
  ...facts,
  kind: "losses",
  readsEarlierLosses: true,
  factor: (value, { temperature = 2 }) => ({ formula: "dynamic_average", value, temperature }),
  measured: measuredSum(facts),
};
