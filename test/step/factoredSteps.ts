// Steps of three tasks whose losses have factors that they learn (famo), in tests: as they begin, and what is
// expected of them by the paper's formulas.
import type { NDArray } from "../../compiler/ir/op.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import type { TracedBundle } from "../training/tracedGraphs.ts";
import { NAMES, SPEC } from "./combinedSteps.ts";
import { initialState, tensorOf } from "./experiment.ts";
import type { Tensors } from "./graphRunner.ts";

export const [LOGITS, M, V] = ["combine.logits", "combine.logits_m", "combine.logits_v"] as const;
export const SETTINGS = { rate: 0.1, decay: 0.02 };
export const FAMO: Partial<SpecInput> = { ...SPEC, combine: { method: "famo", ...SETTINGS } };
/** Logits that differ, and moments as after some steps. */
export const STARTED: readonly (readonly [string, readonly number[]])[] = [
  [LOGITS, [0.5, -1, 0.25]],
  [M, [0.01, 0.02, -0.03]],
  [V, [1e-4, 2e-4, 3e-4]],
];
/** Steps that were applied before. */
export const BEFORE = 4;

export function started({ bundle }: TracedBundle): Map<string, NDArray> {
  const state = initialState(bundle);
  for (const [name, values] of STARTED)
    state.set(name, { ...tensorOf(state, name), data: Float64Array.from(values, Math.fround) });
  return state.set("optimizer.step", { dtype: "int64", shape: [], data: Float64Array.of(BEFORE) });
}

/** Mean losses of a batch by the state as it is; 0 of a task without a label. */
export function lossesOf(outputs: Tensors): number[] {
  return NAMES.map((task) => {
    const [sum = 0, count = 0] = ["loss_sum", "count"].map(
      (of) => tensorOf(outputs, `${of}/${task}`).data[0],
    );
    return sum / Math.max(count, 1);
  });
}

export const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
export const numbers = (tensors: Tensors, name: string): number[] => [...tensorOf(tensors, name).data];

/** Softmax over the tasks that are there. */
export function shares(logits: readonly number[], isThere: readonly boolean[]): number[] {
  const powers = logits.map((logit, t) => (isThere[t] ? Math.exp(logit) : 0));
  return powers.map((power) => power / (sumOf(powers) || 1));
}

/** The next logits and moments by the paper's update and PyTorch's Adam. */
export function movedState(
  state: Tensors,
  losses: readonly number[],
  after: readonly number[],
  hidden: string[],
) {
  const isThere = NAMES.map((task) => !hidden.includes(task));
  const [logits, m, v] = [LOGITS, M, V].map((name) => numbers(state, name));
  const delta = losses.map((loss, t) =>
    isThere[t] ? Math.log(loss + 1e-8) - Math.log(after[t]! + 1e-8) : 0,
  );
  const z = shares(logits!, isThere);
  const mean = sumOf(delta.map((each, t) => each * z[t]!));
  const compares = isThere.filter(Boolean).length > 1;
  const next = NAMES.map((_, t): [number, number, number] => {
    if (!isThere[t] || !compares) return [logits![t]!, m![t]!, v![t]!];
    const gradient = z[t]! * (delta[t]! - mean) + SETTINGS.decay * logits![t]!;
    const [nextM, nextV] = [0.9 * m![t]! + 0.1 * gradient, 0.999 * v![t]! + 0.001 * gradient ** 2];
    const [hatM, hatV] = [nextM / (1 - 0.9 ** (BEFORE + 1)), nextV / (1 - 0.999 ** (BEFORE + 1))];
    return [logits![t]! - (SETTINGS.rate * hatM) / (Math.sqrt(hatV) + 1e-8), nextM, nextV];
  });
  return [LOGITS, M, V].map((name, i) => [name, next.map((each) => each[i]!)] as const);
}
