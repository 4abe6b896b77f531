// Layers and operators that join several tensors, or a tensor and a number: Add, Multiply, Concatenate and
// the like, as layers of Keras, as operators of Keras 3 (`x + y` in a functional model) and as TensorFlow's
// in Keras 2.
import type { GraphBuilder } from "../../ir/builder.ts";
import type { Value } from "../../ir/types.ts";
import { activate, activationOfOperator } from "./kerasActivation.ts";
import { storedAxis } from "./kerasLayout.ts";
import type { LayerCall, LayerRule } from "./layerCall.ts";

type Join = (b: GraphBuilder, x: Value, y: Value) => Value;

/** Operators of TensorFlow that Keras 2 writes as layers, by their names in `tf`. */
const TF_OPERATORS: Readonly<Record<string, Join>> = {
  "__operators__.add": (b, x, y) => b.add(x, y),
  "math.add": (b, x, y) => b.add(x, y),
  "math.subtract": (b, x, y) => b.sub(x, y),
  "math.multiply": (b, x, y) => b.mul(x, y),
  "math.truediv": (b, x, y) => b.div(x, y),
  "math.divide": (b, x, y) => b.div(x, y),
  "math.maximum": (b, x, y) => b.emit("Max", [x, y]),
  "math.minimum": (b, x, y) => b.emit("Min", [x, y]),
};

/** Functions of TensorFlow of one tensor -> the activation that they are. */
const TF_FUNCTIONS: Readonly<Record<string, string>> = {
  "nn.relu": "relu",
  "nn.relu6": "relu6",
  "nn.sigmoid": "sigmoid",
  "math.sigmoid": "sigmoid",
  "nn.silu": "silu",
  "nn.swish": "silu",
  "nn.tanh": "tanh",
  "math.tanh": "tanh",
  "nn.softmax": "softmax",
};

export const addLayer: LayerRule = (call) => fold(call, (b, x, y) => b.add(x, y));
export const multiplyLayer: LayerRule = (call) => fold(call, (b, x, y) => b.mul(x, y));
export const maximumLayer: LayerRule = (call) => fold(call, (b, x, y) => b.emit("Max", [x, y]));
export const minimumLayer: LayerRule = (call) => fold(call, (b, x, y) => b.emit("Min", [x, y]));
export const subtractLayer: LayerRule = (call) => ofTwo(call, (b, x, y) => b.sub(x, y));
export const divideLayer: LayerRule = (call) => ofTwo(call, (b, x, y) => b.div(x, y));
export const averageLayer: LayerRule = (call) =>
  call.b.mul(addLayer(call), call.b.scalar(1 / call.operands.length));

/** CustomScaleLayer (keras.applications.inception_resnet_v2): x + scale y. */
export const scaledSumLayer: LayerRule = (call) => {
  const scale = call.config.number("scale");
  return ofTwo(call, (b, x, y) => b.add(x, b.mul(y, b.scalar(scale))));
};

/** Concatenate: along Keras's axis. */
export const concatenateLayer: LayerRule = (call) => {
  const values = call.operands.filter((operand) => typeof operand !== "number");
  const [first] = values;
  const rank = first?.type.shape.length ?? 0;
  const given = call.config.number("axis", -1);
  const axis = storedAxis(given, rank, call.layout);
  if (axis === undefined || axis === 0)
    return call.fail("E_MODEL_PARSE", `it cannot join along the axis ${given}`);
  if (values.length !== call.operands.length || values.some(({ type }) => type.shape.length !== rank))
    call.fail("E_MODEL_PARSE", "it joins tensors of different numbers of axes");
  return values.length === 1 && first ? first : call.b.emit("Concat", values, { axis });
};

/** TFOpLambda of Keras 2: an operator of TensorFlow as a layer. E_MODEL_OP for one that is not arithmetic. */
export const tensorFlowLayer: LayerRule = (call) => {
  const name = call.config.string("function", "");
  const join = Object.hasOwn(TF_OPERATORS, name) ? TF_OPERATORS[name] : undefined;
  if (join) return ofTwo(call, join);
  const activation = Object.hasOwn(TF_FUNCTIONS, name) ? TF_FUNCTIONS[name] : undefined;
  if (activation !== undefined) return activate(call, call.x, activation);
  return call.fail("E_MODEL_OP", `TensorFlow's function ${name} is not supported`);
};

/** An operator of Keras 3 that is an activation (`keras.ops.silu(x)`); undefined for any other class. */
export function activationOperator(className: string): LayerRule | undefined {
  const name = activationOfOperator(className);
  return name === undefined ? undefined : (call) => activate(call, call.x, name);
}

function fold(call: LayerCall, join: Join): Value {
  const [first, ...rest] = broadcastable(call);
  if (!first) return call.fail("E_MODEL_PARSE", "it has no inputs");
  return rest.reduce((sum, value) => join(call.b, sum, value), first);
}

function ofTwo(call: LayerCall, join: Join): Value {
  const [x, y, ...more] = broadcastable(call);
  if (!x || !y || more.length > 0)
    return call.fail("E_MODEL_PARSE", `it needs two inputs and has ${call.operands.length}`);
  return join(call.b, x, y);
}

/** The operands as values that broadcast together as Keras's do: [N,C] beside an image becomes [N,C,1,1]. */
function broadcastable({ b, operands, fail, layout }: LayerCall): Value[] {
  const ranks = operands.map((operand) => (typeof operand === "number" ? 0 : operand.type.shape.length));
  const most = Math.max(...ranks);
  return operands.map((operand) => {
    if (typeof operand === "number") return b.scalar(operand);
    const rank = operand.type.shape.length;
    if (rank === most) return operand;
    if (rank === 2 && most === 4 && layout === "channels_last")
      return b.emit("Unsqueeze", [operand, b.ints([2, 3])]);
    return fail("E_MODEL_OP", `tensors of ${rank} and ${most} axes are not joined`);
  });
}
