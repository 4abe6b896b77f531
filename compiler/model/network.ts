// The whole network: uint8 images -> FCN -> shared layers -> one head per task, as parts that training,
// evaluation, trunk and exported graphs put together. Values are NCHW float32 from the preprocessing on.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Dim, Value } from "../ir/types.ts";
import type { Spec } from "../spec/schema.ts";
import { buildHead, buildLayers, type LayerContext } from "./layers.ts";

/** Classes of each task, in the order of `spec.tasks`. */
export type TaskClasses = readonly { readonly task: string; readonly classes: readonly string[] }[];

/** Declares the input `image`: uint8 [N,H,W,C] as the host reads it. */
export function imageInput(b: GraphBuilder, spec: Spec, batch: Dim): Value {
  const [height, width] = spec.imshape;
  return b.within("image", () => b.input("image", "uint8", [batch, height, width, spec.num_channels]));
}

/** uint8 [N,H,W,C] -> float32 [N,C,H,W], divided by `norm`. */
export function preprocess(b: GraphBuilder, spec: Spec, image: Value): Value {
  return b.within("image", () => {
    const scaled = b.div(b.cast(image, "float32"), b.scalar(spec.norm));
    return b.transpose(scaled, [0, 3, 1, 2]);
  });
}

/** Images [N,C,H,W] -> features of the FCN. */
export function buildFcn(ctx: LayerContext, x: Value): Value {
  return buildLayers(ctx, x, ctx.spec.fcn.layers, "fcn.layers");
}

/** Features of the FCN -> features of the shared layers. */
export function buildShared(ctx: LayerContext, features: Value): Value {
  return buildLayers(ctx, features, ctx.spec.shared_layers, "shared_layers");
}

/** Shared features -> logits [N, classes] per task, in the order of the spec. */
export function buildHeads(ctx: LayerContext, features: Value, classes: TaskClasses): Map<string, Value> {
  return new Map(
    classes.map(({ task, classes: names }) => [task, buildHead(ctx, features, task, names.length)]),
  );
}

/** Probabilities [N, classes] of logits. */
export function probabilities(b: GraphBuilder, task: string, logits: Value): Value {
  return b.within(`tasks.${task}.dense`, () => b.emit("Softmax", [logits], { axis: 1 }));
}
