// Keras's normalisations, in inference form, and the layers that scale. In: an IR value, statistics and
// gains from the file; out: an IR value. Batch norm stays one node with its four constants, so that passes
// can fold or train it.
import type { Value } from "../../ir/types.ts";
import { storedAxis } from "./kerasLayout.ts";
import type { WeightDeclaration } from "./kerasWeights.ts";
import type { LayerCall, LayerRule } from "./layerCall.ts";

/** keras.config.epsilon() */
const KERAS_EPSILON = 1e-7;

/**
 * BatchNormalization over the channels of [N,C,...]; gamma and beta that the layer does without are 1 and
 * 0.
 */
export const batchNormLayer: LayerRule = (call) => {
  const { b, x, config } = call;
  const axis = onlyAxis(call);
  if (axis !== 1)
    call.fail("E_MODEL_OP", "batch normalisation of another axis than the channels is not supported");
  if (config.boolean("renorm", false)) call.fail("E_MODEL_OP", "batch renormalisation is not supported");
  const shape = [Number(x.type.shape[1])];
  const optional = (name: string, isThere: boolean): WeightDeclaration[] =>
    isThere ? [{ names: [name], shape }] : [];
  const [hasScale, hasCenter] = [config.boolean("scale", true), config.boolean("center", true)];
  const found = call.weights([
    ...optional("gamma", hasScale),
    ...optional("beta", hasCenter),
    { names: ["moving_mean"], shape },
    { names: ["moving_variance"], shape },
  ]);
  const [mean, variance] = found.slice(-2);
  const fill = (value: number): Value => call.constant(shape, new Array<number>(shape[0] ?? 0).fill(value));
  const gamma = hasScale ? found[0] : fill(1);
  const beta = hasCenter ? found[hasScale ? 1 : 0] : fill(0);
  const attrs = { epsilon: config.number("epsilon", 1e-3), momentum: config.number("momentum", 0.99) };
  return b.emit("BatchNormalization", [x, gamma, beta, mean, variance], attrs);
};

/** LayerNormalization over one axis: (x - mean) / sqrt(var + epsilon) gamma + beta. */
export const layerNormLayer: LayerRule = (call) => {
  const { x, config } = call;
  if (config.boolean("rms_scaling", false)) call.fail("E_MODEL_OP", "rms_scaling is not supported");
  const axis = onlyAxis(call);
  const y = standardise(call, x, axis, config.number("epsilon", 1e-3));
  const stored = alongAxis(x, axis);
  const declare = (name: string): WeightDeclaration => ({
    names: [name],
    shape: [lengthOf(x, axis)],
    to: stored,
  });
  const [hasScale, hasCenter] = [config.boolean("scale", true), config.boolean("center", true)];
  const found = call.weights([
    ...(hasScale ? [declare("gamma")] : []),
    ...(hasCenter ? [declare("beta")] : []),
  ]);
  return scaleAndShift(call, y, hasScale ? found[0] : undefined, hasCenter ? found.at(-1) : undefined);
};

/** GroupNormalization of an image (Wu and He 2018): each group of channels, over its pixels too. */
export const groupNormLayer: LayerRule = (call) => {
  const { b, x, config } = call;
  const { shape } = x.type;
  if (onlyAxis(call) !== 1)
    call.fail("E_MODEL_OP", "group normalisation of another axis than the channels is not supported");
  const channels = lengthOf(x, 1);
  const wanted = config.number("groups", 32);
  const groups = wanted === -1 ? channels : wanted;
  if (!(Number.isInteger(groups) && groups >= 1) || channels % groups !== 0)
    call.fail("E_MODEL_PARSE", `${groups} groups do not divide ${channels} channels`);
  const size = shape.slice(1).reduce((product: number, dim) => product * Number(dim), 1);
  const grouped = standardise(
    call,
    b.reshape(x, [0, groups, size / groups]),
    2,
    config.number("epsilon", 1e-3),
  );
  const y = b.reshape(grouped, [0, ...shape.slice(1).map(Number)]);
  const declare = (name: string): WeightDeclaration => ({
    names: [name],
    shape: [channels],
    to: alongAxis(x, 1),
  });
  const [hasScale, hasCenter] = [config.boolean("scale", true), config.boolean("center", true)];
  const found = call.weights([
    ...(hasScale ? [declare("gamma")] : []),
    ...(hasCenter ? [declare("beta")] : []),
  ]);
  return scaleAndShift(call, y, hasScale ? found[0] : undefined, hasCenter ? found.at(-1) : undefined);
};

/** (x - mean) / sqrt(var + epsilon) along one axis, var being the population's. */
function standardise({ b }: LayerCall, x: Value, axis: number, epsilon: number): Value {
  const centred = b.sub(x, b.reduceMean(x, [axis], 1));
  const variance = b.reduceMean(b.mul(centred, centred), [axis], 1);
  return b.div(centred, b.emit("Sqrt", [b.add(variance, b.scalar(epsilon))]));
}

function scaleAndShift({ b }: LayerCall, x: Value, gain: Value | undefined, shift: Value | undefined): Value {
  const scaled = gain ? b.mul(x, gain) : x;
  return shift ? b.add(scaled, shift) : scaled;
}

/** Rescaling: scale x + offset; either may be a list, one for each channel. */
export const rescalingLayer: LayerRule = (call) => {
  const { config, x } = call;
  const scale = perChannel(call, config.numbers("scale") ?? [1]);
  const offset = perChannel(call, config.numbers("offset") ?? [0]);
  return scaleAndShift(call, x, scale, offset);
};

/**
 * Normalization: (x - mean) / max(sqrt(variance), 1e-7), from the configuration or as adapted; `invert`
 * undoes it.
 */
export const normalizationLayer: LayerRule = (call) => {
  const { b, x, config } = call;
  const axes = config.raw("axis") === undefined ? [] : (config.numbers("axis") ?? []);
  const [axis = -1] = axes;
  const isByChannel = axes.length === 1 && storedAxis(axis, x.type.shape.length, call.layout) === 1;
  if (axes.length > 0 && !isByChannel)
    call.fail("E_MODEL_OP", "normalisation along another axis than the channels is not supported");
  const shape = axes.length === 0 ? [] : alongAxis(x, 1);
  const given = config.numbers("mean");
  const [mean, variance] = given
    ? [given, config.numbers("variance") ?? call.fail("E_MODEL_PARSE", "it has a mean but no variance")]
    : call
        .arrays([
          { names: ["mean"], shape: axes.length === 0 ? [] : [lengthOf(x, 1)] },
          { names: ["variance"], shape: axes.length === 0 ? [] : [lengthOf(x, 1)] },
          { names: ["count"], shape: [] },
        ])
        .map(({ data }) => Array.from(data));
  const deviation = (variance ?? []).map((value) => Math.max(Math.sqrt(value), KERAS_EPSILON));
  const [shift, gain] = [perChannel(call, mean ?? [], shape), perChannel(call, deviation, shape)];
  return config.boolean("invert", false) ? b.add(b.mul(x, gain), shift) : b.div(b.sub(x, shift), gain);
};

/** LayerScale (keras.applications.convnext): gamma x, gamma by channel. */
export const layerScaleLayer: LayerRule = (call) => {
  const { b, x, layout } = call;
  const axis = storedAxis(-1, x.type.shape.length, layout) ?? 1;
  const [gamma = x] = call.weights([
    { names: ["gamma", "variable"], shape: [lengthOf(x, axis)], to: alongAxis(x, axis) },
  ]);
  return b.mul(x, gamma);
};

/** One number, or one for each channel as Keras's last axis has them. */
function perChannel(call: LayerCall, numbers: readonly number[], shape?: readonly number[]): Value {
  const { x, layout } = call;
  const [only] = numbers;
  if (numbers.length === 1 && only !== undefined) return call.b.scalar(only);
  const axis = storedAxis(-1, x.type.shape.length, layout) ?? 1;
  if (numbers.length !== lengthOf(x, axis))
    call.fail("E_MODEL_PARSE", `${numbers.length} numbers for ${lengthOf(x, axis)} channels`);
  return call.constant(shape ?? alongAxis(x, axis), numbers);
}

/** The stored axis that `axis` means: Keras writes a number or a list of one. */
function onlyAxis(call: LayerCall): number {
  const axes = call.config.numbers("axis") ?? [-1];
  const [axis = -1] = axes;
  if (axes.length !== 1) call.fail("E_MODEL_OP", "normalisation along several axes is not supported");
  return (
    storedAxis(axis, call.x.type.shape.length, call.layout) ??
    call.fail("E_MODEL_PARSE", `its input has no axis ${axis}`)
  );
}

function lengthOf({ type: { shape } }: Value, axis: number): number {
  return Number(shape[axis]);
}

/** Shape that broadcasts along `axis` of x. */
function alongAxis(x: Value, axis: number): number[] {
  return x.type.shape.slice(axis).map((_, i) => (i === 0 ? lengthOf(x, axis) : 1));
}
