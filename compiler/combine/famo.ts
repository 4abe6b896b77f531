// FAMO (Liu, Feng, Stone, Liu, arXiv 2306.03792): weights of losses that make all of them fall at the same
// rate. Logits lie in the state; a step weighs by them, looks at the losses of its batch before and after,
// and moves them. All of it in float64, of [T] tensors; the state itself is float32.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import type { LinearMethod, LossInputs, MovedLosses } from "./combiner.ts";

/** Keeps the logarithm and the quotient of a loss of 0 finite: the authors'. */
const EPSILON = 1e-8;
/** PyTorch's Adam, which the authors move the logits by. */
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

export const famo: LinearMethod = {
  kind: "losses",
  name: "famo",
  doc:
    "weighs losses such that all fall at the same rate: z_t / L_t by learned z, scaled to the sum 1; takes a second " +
    "forward pass of each batch after its step, with accumulate a third one before it",
  source: "FAMO, arXiv 2306.03792; github.com/Cranial-XIX/FAMO",
  settings: {
    rate: { default: 0.025, least: 0, most: 10, doc: "Learning rate of the logits (Adam)." },
    decay: { default: 1e-3, least: 0, most: 10, doc: "Weight decay of the logits." },
  },
  learned: { state: ["logits", "logits_m", "logits_v"], weights, moved },
};

/**
 * The weights of the gradients, [T], sum 1 over the present tasks: q = z / (L + 1e-8), w = q / sum(q), which
 * is the gradient of sum(z log(L + 1e-8)) / c by L with the authors' c = sum(z / (L + 1e-8)) held fixed.
 */
function weights(b: GraphBuilder, { losses, present, state }: LossInputs): Value {
  const quotients = b.div(shares(b, state[0]!, present), b.add(losses, float64(b, EPSILON)));
  return b.div(quotients, positive(b, sumOf(b, quotients)));
}

/**
 * The next logits and moments: Adam along d = z (delta - sum(z delta)) + decay w, the gradient by w of
 * sum(z delta) and of the decay, delta = log(L before) - log(L after). Where fewer than two tasks are present
 * there is nothing to compare, and an absent task's stay as they are.
 */
function moved(b: GraphBuilder, inputs: MovedLosses): readonly Value[] {
  const { losses, after, present, state, settings, step } = inputs;
  const [logits, m, v] = [state[0]!, state[1]!, state[2]!];
  const logOf = (value: Value): Value => b.emit("Log", [b.add(value, float64(b, EPSILON))]);
  const delta = b.mul(b.sub(logOf(losses), logOf(after)), present);
  const z = shares(b, logits, present);
  const change = b.mul(z, b.sub(delta, sumOf(b, b.mul(z, delta))));
  const gradient = b.add(change, b.mul(logits, float64(b, settings.decay ?? 0)));
  const [beta1, beta2] = [float64(b, ADAM.beta1), float64(b, ADAM.beta2)];
  const mixed = (old: Value, beta: Value, fresh: Value): Value =>
    b.add(b.mul(old, beta), b.mul(fresh, b.sub(float64(b, 1), beta)));
  const [nextM, nextV] = [mixed(m, beta1, gradient), mixed(v, beta2, b.mul(gradient, gradient))];
  const t = b.cast(step, "float64");
  const unbiased = (moment: Value, beta: Value): Value =>
    b.div(moment, b.sub(float64(b, 1), b.emit("Pow", [beta, t])));
  const root = b.add(b.emit("Sqrt", [unbiased(nextV, beta2)]), float64(b, ADAM.epsilon));
  const stride = b.mul(b.div(unbiased(nextM, beta1), root), float64(b, settings.rate ?? 0));
  const one = float64(b, 1);
  const isCompared = b.emit("Greater", [sumOf(b, present), one]);
  const moves = b.emit("And", [b.emit("Greater", [present, float64(b, 0)]), isCompared]);
  const next = [b.sub(logits, stride), nextM, nextV];
  return next.map((value, i) => b.where(moves, value, state[i]!));
}

/** Softmax of the logits over the present tasks; 0 of absent ones. */
function shares(b: GraphBuilder, logits: Value, present: Value): Value {
  // Logits are pulled to 0 by their decay; the largest one is taken off all the same.
  const powers = b.mul(b.emit("Exp", [b.sub(logits, b.emit("ReduceMax", [logits]))]), present);
  return b.div(powers, positive(b, sumOf(b, powers)));
}

/** [1] -> itself, and 1 where it is 0: without any task there is nothing to share. */
function positive(b: GraphBuilder, sum: Value): Value {
  return b.where(b.emit("Greater", [sum, float64(b, 0)]), sum, float64(b, 1));
}

/** Sum of [T], [1]. */
function sumOf(b: GraphBuilder, value: Value): Value {
  return b.reduceSum(value, [0], 1);
}

function float64(b: GraphBuilder, value: number): Value {
  return b.scalar(value, "float64");
}
