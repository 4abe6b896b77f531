// Losses of class scores as ONNX has them: scores [N,C,...], targets [N,...] of integers, weights [C]. The
// own MaskedCrossEntropy is what mttc trains with; these stand for imported graphs.
import type { GraphBuilder } from "../ir/builder.ts";
import {
  type AttrReader,
  type AttrSpec,
  defineOp,
  type InferContext,
  type NDArray,
  type Op,
} from "../ir/op.ts";
import { concreteShape, elementCount, type TensorType, type Value } from "../ir/types.ts";
import { range } from "./axes.ts";
import { expectKind, scalarLike } from "./elementwise.ts";

const ATTRS: Readonly<Record<string, AttrSpec>> = {
  ignore_index: { kind: "int", default: null },
  reduction: { kind: "string", default: "mean" },
};

const NegativeLogLikelihoodLoss = defineOp("NegativeLogLikelihoodLoss", {
  doc: "l = -w[t] x[t] for targets t; their mean (by weight), sum, or all of them; ignore_index counts for none",
  source: "ONNX NegativeLogLikelihoodLoss-13",
  inputs: ["x", "target", "weight?"],
  outputs: ["loss"],
  attrs: ATTRS,
  axes: "stops",
  precision: "float32",
  infer: (ctx) => [inferLoss(ctx)],
  vjp: ({ b, dy, input, inputs, output, attrs, needs }) => {
    const loss = { x: input(0), target: input(1), weight: inputs[2], loss: output(0), dy };
    const found = differentiateLikelihood(b, loss, attrs, needs[2] === true);
    return [found.dx, undefined, found.dweight];
  },
  evaluate: (ctx) => [likelihoodLoss(ctx.inputs, ctx.input(0), ctx.attrs, ctx.outputs[0]!)],
});

const SoftmaxCrossEntropyLoss = defineOp("SoftmaxCrossEntropyLoss", {
  doc: "NegativeLogLikelihoodLoss of log_prob = LogSoftmax of the scores along axis 1",
  source: "ONNX SoftmaxCrossEntropyLoss-13",
  inputs: ["scores", "labels", "weights?"],
  outputs: ["loss", "log_prob?"],
  attrs: ATTRS,
  axes: "stops",
  precision: "float32",
  infer: (ctx) => [inferLoss(ctx), ctx.input(0)],
  // With p = LogSoftmax(scores) and g its cotangent: dscores = g - e^p sum of g over the classes
  vjp: ({ b, cotangents, input, inputs, outputs, attrs, needs }) => {
    const x = outputs[1] ?? b.emit("LogSoftmax", [input(0)], { axis: 1 });
    const [dy, dLog] = cotangents;
    const loss = { x, target: input(1), weight: inputs[2], loss: outputs[0]! };
    const found = dy && differentiateLikelihood(b, { ...loss, dy }, attrs, needs[2] === true);
    const g = found && dLog ? b.add(found.dx, dLog) : (found?.dx ?? dLog!);
    const dscores = () => b.sub(g, b.mul(b.emit("Exp", [x]), b.reduceSum(g, [1], 1)));
    return [needs[0] ? dscores() : undefined, undefined, found?.dweight];
  },
  evaluate: (ctx) => {
    const scores = ctx.input(0);
    const inner = elementCount(scores.shape.slice(2));
    const classes = scores.shape[1]!;
    const data = scores.data.slice();
    for (const n of range(scores.shape[0]!))
      for (const pixel of range(inner)) {
        const places = range(classes).map((c) => (n * classes + c) * inner + pixel);
        const largest = Math.max(...places.map((at) => scores.data[at]!));
        const sum = places.reduce((total, at) => total + Math.exp(scores.data[at]! - largest), 0);
        for (const at of places) data[at] = scores.data[at]! - largest - Math.log(sum);
      }
    const logs = { ...scores, data };
    return [likelihoodLoss(ctx.inputs, logs, ctx.attrs, ctx.outputs[0]!), logs];
  },
});

function inferLoss(ctx: InferContext): TensorType {
  const [x, target, weight] = [ctx.input(0), ctx.input(1), ctx.inputs[2]];
  expectKind(ctx, x, "float");
  const each = x.shape.toSpliced(1, 1);
  if (x.shape.length < 2 || String(target.shape) !== String(each) || !target.dtype.startsWith("int"))
    ctx.fail(`expected integer targets [${each}] for [${x.shape}], found ${target.dtype}[${target.shape}]`);
  if (weight && (weight.dtype !== x.dtype || String(weight.shape) !== String(x.shape.slice(1, 2))))
    ctx.fail(`expected ${x.shape[1]} weights, found ${weight.dtype}[${weight.shape}]`);
  const reduction = ctx.attrs.string("reduction");
  if (!["mean", "sum", "none"].includes(reduction))
    ctx.fail(`expected the reduction mean, sum or none, found ${reduction}`);
  return { dtype: x.dtype, shape: reduction === "none" ? each : [] };
}

/**
 * With h the targets as one-hot rows and w the weight of each target (0 where it is ignored): dx = -h w dy,
 * for the mean divided by the sum of w; dweight[c] = sum over the targets t = c of -x[t] dy, for the mean
 * of (-x[t] - loss) dy / sum of w.
 */
function differentiateLikelihood(
  b: GraphBuilder,
  node: {
    readonly x: Value;
    readonly target: Value;
    readonly weight: Value | undefined;
    readonly loss: Value;
    readonly dy: Value;
  },
  attrs: AttrReader,
  wantsWeight: boolean,
): { readonly dx: Value; readonly dweight: Value | undefined } {
  const { x, target, weight, dy } = node;
  const { dtype } = x.type;
  const classes = concreteShape(x.type.shape)[1] ?? 1;
  const [zero, one] = [b.scalar(0, dtype), b.scalar(1, dtype)];
  const ignored = attrs.has("ignore_index")
    ? b.emit("Equal", [target, b.scalar(attrs.int("ignore_index"), target.type.dtype)])
    : undefined;
  const classOf = ignored ? b.where(ignored, b.scalar(0, target.type.dtype), target) : target;
  const units = b.constant({ dtype, shape: [2], data: Float64Array.of(0, 1) });
  const allHot = b.emit("OneHot", [classOf, b.ints([classes]), units], { axis: 1 });
  const asColumn = (value: Value): Value => b.emit("Unsqueeze", [value, b.ints([1])]);
  const hot = ignored ? b.mul(allHot, asColumn(b.where(ignored, zero, one))) : allHot;
  const spatial = range(x.type.shape.length - 2);
  const wide = (perClass: Value): Value =>
    spatial.length === 0 ? perClass : b.emit("Unsqueeze", [perClass, b.ints(spatial.map((i) => i + 1))]);
  const weighted = weight ? b.mul(hot, wide(weight)) : hot;
  const isMean = attrs.string("reduction") === "mean";
  const all = range(x.type.shape.length);
  const share = isMean ? b.div(dy, b.reduceSum(weighted, all, 0)) : dy;
  const perTarget = attrs.string("reduction") === "none" ? asColumn(share) : share;
  const dx = b.neg(b.mul(weighted, perTarget));
  if (!weight || !wantsWeight) return { dx, dweight: undefined };
  const own = isMean ? b.add(x, node.loss) : x;
  const dweight = b.reduceSum(
    b.mul(b.mul(hot, own), perTarget),
    all.filter((axis) => axis !== 1),
    0,
  );
  return { dx, dweight: b.mul(dweight, scalarLike(b, -1, dweight)) };
}

function likelihoodLoss(
  [, target, weight]: readonly (NDArray | undefined)[],
  x: NDArray,
  attrs: AttrReader,
  type: TensorType,
): NDArray {
  const [, classes = 1] = x.shape;
  const inner = elementCount(x.shape.slice(2));
  const ignored = attrs.has("ignore_index") ? attrs.int("ignore_index") : Number.NaN;
  const targets = target?.data ?? new Float64Array();
  const weights = targets.map((t) => (t === ignored ? 0 : (weight?.data[t] ?? 1)));
  const losses = targets.map((t, i) => {
    const at = (Math.floor(i / inner) * classes + t) * inner + (i % inner);
    return weights[i] === 0 ? 0 : -weights[i]! * x.data[at]!;
  });
  const sum = losses.reduce((total, loss) => total + loss, 0);
  const data = {
    none: losses,
    sum: Float64Array.of(sum),
    mean: Float64Array.of(sum / weights.reduce((total, each) => total + each, 0)),
  };
  const shape = concreteShape(type.shape);
  return { dtype: type.dtype, shape, data: data[attrs.string("reduction") as keyof typeof data] };
}

/** Ops of this family. */
export const CLASS_LOSSES: readonly Op[] = [NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss];
