// The sum of the tasks' gradients, which is the gradient of the sum of their losses.
import { type LinearMethod, type MethodFacts, measuredSum } from "./combiner.ts";

const facts: MethodFacts = {
  name: "sum",
  doc: "the gradient of the sum of the weighted losses",
  source: "the usual objective",
  settings: {},
};

export const sum: LinearMethod = { ...facts, kind: "losses", measured: measuredSum(facts) };
