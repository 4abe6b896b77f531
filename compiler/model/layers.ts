// The layer language: integer, "p", "d", "r" -> nodes. NCHW throughout. What depends on the graph's purpose
// (training or inference, where parameters come from, whether there are dropout masks) comes in as a
// LayerContext.
import type { GraphBuilder } from "../ir/builder.ts";
import { type Attrs, concreteDim, type Dim, type Value } from "../ir/types.ts";
import type { LayerEntry, ModelSpec } from "../spec/schema.ts";
import type { ImportedTrunk } from "./importedTrunk.ts";
import { FCN, type Parameter, type ParameterRole, type ParameterSource, partOfTask } from "./parameters.ts";

/** epsilon and momentum of every batch norm (Keras's defaults). */
export const BATCH_NORM = { epsilon: 1e-3, momentum: 0.99 } as const;

export interface LayerContext {
  readonly b: GraphBuilder;
  readonly spec: ModelSpec;
  readonly source: ParameterSource;
  /** Training form: batch norm by batch statistics, dropout by masks. */
  readonly training: boolean;
  /** Declares the mask input of the dropout layer at a place of the spec; absent at inference. */
  readonly mask?: (layer: string, shape: readonly [Dim, number, 1, 1]) => Value;
  /** The imported network that the spec's fcn names, where it names one. */
  readonly trunk?: ImportedTrunk | undefined;
  /** Processes whose images batch norms in training form take together; default 1. */
  readonly normRanks?: number | undefined;
  /** Is told of the batch's statistics by each batch norm in training form. */
  readonly onStatistic?: (statistic: BatchStatistic) => void;
}

/** A statistic [C] of a batch: next running = momentum running + (1 - momentum) batch. */
export interface BatchStatistic {
  /** The running mean or variance that it goes into. */
  readonly parameter: Parameter;
  readonly batch: Value;
  readonly momentum: number;
}

/** Where layers are built: in which part of the network. */
interface PartContext extends LayerContext {
  readonly part: string;
}

/** Applies `layers` of a part to `x` [N,C,H,W]; layer i has the origin `<origin>[i]`. */
export function buildLayers(
  ctx: LayerContext,
  x: Value,
  layers: readonly LayerEntry[],
  { part, origin }: { readonly part: string; readonly origin: string },
): Value {
  const here = { ...ctx, part };
  return layers.reduce<Value>((input, layer, i) => {
    const place = `${origin}[${i}]`;
    return ctx.b.within(place, () => buildLayer(here, input, layer, place), { part });
  }, x);
}

function buildLayer(ctx: PartContext, x: Value, layer: LayerEntry, origin: string): Value {
  const { b } = ctx;
  if (layer === "p") return b.emit("MaxPool", [x], { kernel_shape: [2, 2], strides: [2, 2] });
  if (layer === "d") {
    const shape = [x.type.shape[0] ?? "N", channelsOf(x), 1, 1] as const;
    return ctx.mask ? b.mul(x, ctx.mask(origin, shape)) : x;
  }
  if (layer === "r") return residualBlock(ctx, x, origin);
  const { batchnorm } = ctx.spec;
  const y = convolution(ctx, x, layer, origin, !batchnorm);
  return b.emit("Relu", [batchnorm ? batchNorm(ctx, y, `${origin}.norm`) : y]);
}

/** y = relu(x + conv2(relu(norm2(conv1(relu(norm1(x))))))); the norms only with `batchnorm`. */
function residualBlock(ctx: PartContext, x: Value, origin: string): Value {
  const { b } = ctx;
  const { batchnorm } = ctx.spec;
  const width = channelsOf(x);
  const before = b.emit("Relu", [batchnorm ? batchNorm(ctx, x, `${origin}.norm1`) : x]);
  const inner = convolution(ctx, before, width, `${origin}.conv1`, !batchnorm);
  const between = b.emit("Relu", [batchnorm ? batchNorm(ctx, inner, `${origin}.norm2`) : inner]);
  return b.emit("Relu", [b.add(x, convolution(ctx, between, width, `${origin}.conv2`, true))]);
}

/**
 * Convolution K x K with stride 1; separable: depthwise K x K, then pointwise 1 x 1 (Keras SeparableConv2D).
 */
function convolution(ctx: PartContext, x: Value, filters: number, origin: string, hasBias: boolean): Value {
  const { b, spec } = ctx;
  const channels = channelsOf(x);
  const size = spec.kernel_size;
  const pads = spec.padding === "same" ? samePads(size) : [0, 0, 0, 0];
  const bias = () => (hasBias ? zeros(ctx, `${origin}.bias`, "bias", [filters]) : undefined);
  if (spec.separable) {
    const depthwise = glorot(
      ctx,
      `${origin}.depthwise_kernel`,
      [channels, 1, size, size],
      channels * size * size,
      size * size,
    );
    const y = b.emit("Conv", [x, depthwise], { pads, group: channels });
    const pointwise = glorot(ctx, `${origin}.pointwise_kernel`, [filters, channels, 1, 1], channels, filters);
    return b.emit(
      "Conv",
      [y, pointwise, bias()].filter((input) => input !== undefined),
    );
  }
  const area = size * size;
  const kernel = glorot(
    ctx,
    `${origin}.kernel`,
    [filters, channels, size, size],
    channels * area,
    filters * area,
  );
  return b.emit(
    "Conv",
    [x, kernel, bias()].filter((input) => input !== undefined),
    { pads },
  );
}

/** Batch norm over N, H, W: by batch statistics in training form, by running ones otherwise. */
function batchNorm(ctx: PartContext, x: Value, origin: string): Value {
  const { b } = ctx;
  const shape = [channelsOf(x)];
  const scale = declare(ctx, `${origin}.scale`, "norm_scale", shape, { kind: "constant", value: 1 });
  const bias = zeros(ctx, `${origin}.bias`, "norm_bias", shape);
  const meanParameter = {
    ...describe(ctx, `${origin}.running_mean`, "running_mean", shape),
    initial: { kind: "constant", value: 0 },
  } as const;
  const varParameter = {
    ...describe(ctx, `${origin}.running_var`, "running_var", shape),
    initial: { kind: "constant", value: 1 },
  } as const;
  const running = [ctx.source(b, meanParameter), ctx.source(b, varParameter)];
  const { epsilon, momentum } = BATCH_NORM;
  if (!ctx.training) return b.emit("BatchNormalization", [x, scale, bias, ...running], { epsilon });
  const [y, mean, variance] = b.emitAll("BatchNormTraining", [x, scale, bias], normAttrs(ctx, epsilon), 3);
  if (mean) ctx.onStatistic?.({ parameter: meanParameter, batch: mean, momentum });
  if (variance) ctx.onStatistic?.({ parameter: varParameter, batch: variance, momentum });
  return y ?? x;
}

/** Attributes of a batch norm in training form. */
export function normAttrs({ normRanks: ranks = 1 }: LayerContext, epsilon: number): Attrs {
  return { epsilon, ...(ranks > 1 ? { ranks } : {}) };
}

/** Names of the parameters of the dense layer that ends a task's head: [C, width] and [width]. */
export function denseParameters(task: string): { readonly kernel: string; readonly bias: string } {
  const origin = `${partOfTask(task)}.dense`;
  return { kernel: `${origin}.kernel`, bias: `${origin}.bias` };
}

/**
 * Head of a task: its layers, global pooling over H and W, dense to `width` numbers; [N, width]. The dense
 * kernel is [C, width].
 */
export function buildHead(ctx: LayerContext, features: Value, task: string, width: number): Value {
  const { b, spec } = ctx;
  const part = partOfTask(task);
  const here = { ...ctx, part };
  const hidden = buildLayers(ctx, features, spec.task_layers, { part, origin: `${part}.task_layers` });
  const dense = (): Value => {
    const pooling = spec.global_pooling === "max" ? "ReduceMax" : "ReduceMean";
    const pooled = b.emit(pooling, [hidden, b.ints([2, 3])], { keepdims: 0 });
    const channels = channelsOf(hidden);
    const names = denseParameters(task);
    const kernel = glorot(here, names.kernel, [channels, width], channels, width);
    return b.emit("Gemm", [pooled, kernel, zeros(here, names.bias, "bias", [width])]);
  };
  return b.within(`${part}.dense`, dense, { part });
}

/** Keras's "same" at stride 1: what is odd goes to the end. [top, left, bottom, right]. */
function samePads(size: number): number[] {
  const before = Math.floor((size - 1) / 2);
  return [before, before, size - 1 - before, size - 1 - before];
}

function channelsOf(x: Value): number {
  return concreteDim(x.type.shape[1]);
}

function glorot(
  ctx: PartContext,
  name: string,
  shape: readonly number[],
  fanIn: number,
  fanOut: number,
): Value {
  return declare(ctx, name, "kernel", shape, { kind: "glorot_uniform", fanIn, fanOut });
}

function zeros(ctx: PartContext, name: string, role: ParameterRole, shape: readonly number[]): Value {
  return declare(ctx, name, role, shape, { kind: "constant", value: 0 });
}

function declare(
  ctx: PartContext,
  name: string,
  role: ParameterRole,
  shape: readonly number[],
  initial: Parameter["initial"],
): Value {
  return ctx.source(ctx.b, { ...describe(ctx, name, role, shape), initial });
}

function describe(
  { part, spec }: PartContext,
  name: string,
  role: ParameterRole,
  shape: readonly number[],
): Omit<Parameter, "initial"> {
  return { name, role, shape, part, trained: part !== FCN || spec.train_fcn !== false };
}
