// Keras's activation functions, by their names in a layer's `activation`, and the layers that are
// activations. In: an IR value; out: an IR value. Formulas are those of keras.activations; where Keras 2
// differs from 3, it is said.
import type { GraphBuilder } from "../../ir/builder.ts";
import type { Value } from "../../ir/types.ts";
import { storedAxis } from "./kerasLayout.ts";
import type { LayerCall, LayerRule } from "./layerCall.ts";
import { isObject } from "./layerConfig.ts";

type Activation = (b: GraphBuilder, x: Value, call: LayerCall) => Value;

/** min(max(x, low), high) */
function clip(b: GraphBuilder, x: Value, low: number, high: number): Value {
  return b.emit("Clip", [x, b.scalar(low), b.scalar(high)]);
}

/** relu6(x + 3) / 6: Keras 3. Keras 2: clip(0.2 x + 0.5, 0, 1). */
function hardSigmoid(b: GraphBuilder, x: Value, { version }: Pick<LayerCall, "version">): Value {
  return b.emit("HardSigmoid", [x], { alpha: version === 2 ? 0.2 : 1 / 6, beta: 0.5 });
}

/** x (1 + erf(x / sqrt 2)) / 2 */
function gelu(b: GraphBuilder, x: Value): Value {
  const erf = b.emit("Erf", [b.mul(x, b.scalar(Math.SQRT1_2))]);
  return b.mul(b.mul(x, b.scalar(0.5)), b.add(erf, b.scalar(1)));
}

/** Softmax over Keras's axis. */
function softmax(
  b: GraphBuilder,
  x: Value,
  call: LayerCall,
  kerasAxis: number,
  op: "Softmax" | "LogSoftmax" = "Softmax",
): Value {
  const axis = storedAxis(kerasAxis, x.type.shape.length, call.layout);
  return b.emit(op, [x], { axis: axis ?? call.fail("E_MODEL_PARSE", `there is no axis ${kerasAxis}`) });
}

const silu: Activation = (b, x) => b.mul(x, b.emit("Sigmoid", [x]));
/** x relu6(x + 3) / 6 in both versions. */
const hardSwish: Activation = (b, x) => b.emit("HardSwish", [x]);

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  linear: (_, x) => x,
  relu: (b, x) => b.emit("Relu", [x]),
  relu6: (b, x) => clip(b, x, 0, 6),
  sigmoid: (b, x) => b.emit("Sigmoid", [x]),
  tanh: (b, x) => b.emit("Tanh", [x]),
  softmax: (b, x, call) => softmax(b, x, call, -1),
  log_softmax: (b, x, call) => softmax(b, x, call, -1, "LogSoftmax"),
  silu,
  swish: silu,
  gelu,
  elu: (b, x) => b.emit("Elu", [x], { alpha: 1 }),
  // Keras's own constants, in full float64.
  selu: (b, x) => b.emit("Selu", [x], { alpha: 1.6732632423543772, gamma: 1.0507009873554805 }),
  softplus: (b, x) => b.emit("Softplus", [x]),
  softsign: (b, x) => b.emit("Softsign", [x]),
  exponential: (b, x) => b.emit("Exp", [x]),
  hard_sigmoid: hardSigmoid,
  hard_silu: hardSwish,
  hard_swish: hardSwish,
  leaky_relu: (b, x) => b.emit("LeakyRelu", [x], { alpha: 0.2 }),
  mish: (b, x) => b.emit("Mish", [x]),
};

/**
 * Operators of Keras 3 that are activations without parameters (`keras.ops.silu(x)` in a functional model).
 */
const OPERATORS: Readonly<Record<string, string>> = {
  HardSigmoid: "hard_sigmoid",
  HardSilu: "hard_silu",
  Relu: "relu",
  Relu6: "relu6",
  Sigmoid: "sigmoid",
  Silu: "silu",
  Softplus: "softplus",
  Softsign: "softsign",
  Tanh: "tanh",
};

/** Name of the activation that an operator of Keras 3 is; undefined for any other class. */
export function activationOfOperator(className: string): string | undefined {
  return Object.hasOwn(OPERATORS, className) ? OPERATORS[className] : undefined;
}

/** Applies the activation of that name; E_MODEL_OP if there is none such. */
export function activate(call: LayerCall, x: Value, name: string): Value {
  const known = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
  if (known) return known(call.b, x, call);
  return call.fail(
    "E_MODEL_OP",
    `the activation "${name}" is not supported`,
    `one of: ${Object.keys(ACTIVATIONS).join(", ")}`,
  );
}

/** Applies what the layer's `activation` says: a name, or a function or layer written out; none is linear. */
export function applyActivation(call: LayerCall, x: Value): Value {
  const given = call.config.raw("activation") ?? "linear";
  if (typeof given === "string") return activate(call, x, given);
  if (isObject(given) && typeof given.config === "string") return activate(call, x, given.config);
  const shown = isObject(given) ? String(given.class_name) : typeof given;
  return call.fail("E_MODEL_OP", `an activation that is a ${shown} is not supported`);
}

/** Activation: the function of that name. */
export const activationLayer: LayerRule = (call) => applyActivation(call, call.x);

/**
 * Keras's ReLU layer: f(x) = max_value if x >= max_value, x if x >= threshold, else negative_slope (x -
 * threshold).
 */
export const reluLayer: LayerRule = (call) => {
  const { b, x, config } = call;
  const slope = config.number(["negative_slope", "alpha"], 0);
  const threshold = config.number("threshold", 0);
  const most = config.raw("max_value") === undefined ? undefined : config.number("max_value");
  if (threshold === 0 && slope === 0) return most === undefined ? b.emit("Relu", [x]) : clip(b, x, 0, most);
  const limited = most === undefined ? x : b.emit("Min", [x, b.scalar(most)]);
  if (threshold === 0) return leakyRelu(b, limited, slope);
  const below = b.mul(b.sub(x, b.scalar(threshold)), b.scalar(slope));
  return b.where(b.emit("GreaterOrEqual", [x, b.scalar(threshold)]), limited, below);
};

function leakyRelu(b: GraphBuilder, x: Value, slope: number): Value {
  return slope === 0 ? b.emit("Relu", [x]) : b.emit("LeakyRelu", [x], { alpha: slope });
}

/** LeakyReLU: x, or negative_slope x below 0; Keras 2 calls the slope alpha. */
export const leakyReluLayer: LayerRule = ({ b, x, config }) =>
  leakyRelu(b, x, config.number(["negative_slope", "alpha"], 0.3));

/** ELU: x, or alpha (e^x - 1) below 0. */
export const eluLayer: LayerRule = ({ b, x, config }) =>
  b.emit("Elu", [x], { alpha: config.number("alpha", 1) });

/** PReLU: x, or alpha x below 0, alpha learned and shared along `shared_axes`. */
export const preluLayer: LayerRule = (call) => {
  const { b, x, config } = call;
  const rank = x.type.shape.length;
  const shared = (config.ints("shared_axes") ?? []).map((axis) => storedAxis(axis, rank, call.layout));
  const stored = x.type.shape.slice(1).map((size, i) => (shared.includes(i + 1) ? 1 : Number(size)));
  const perm = Array.from({ length: rank - 1 }, (_, i) => (storedAxis(i + 1, rank, call.layout) ?? 0) - 1);
  const shape = perm.map((axis) => stored[axis] ?? 1);
  const back = perm.map((_, i) => perm.indexOf(i));
  const [alpha] = call.weights([{ names: ["alpha"], shape, perm: back, to: stored }]);
  return b.emit("PRelu", [x, alpha]);
};

/** Softmax layer: over one axis. */
export const softmaxLayer: LayerRule = (call) => {
  const axes = call.config.numbers("axis") ?? [-1];
  const [axis = -1] = axes;
  if (axes.length !== 1) call.fail("E_MODEL_OP", "softmax over several axes is not supported");
  return softmax(call.b, call.x, call, axis);
};
