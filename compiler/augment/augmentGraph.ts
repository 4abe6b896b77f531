// Augmentation as a graph: uint8 images and a row of parameters for each -> augmented images in [0, 1]. The
// same fragment is augment.onnx and the front of the training graphs. Without operations it is x / 255.
import { InternalError } from "../diagnostics.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { OpTable } from "../ir/op.ts";
import type { Dim, Graph, Value } from "../ir/types.ts";
import type { AugmentName, AugmentSettings } from "../spec/augmentKeys.ts";
import type { Spec } from "../spec/schema.ts";
import { AUGMENT_OPERATIONS, activeOperations, augmentColumns } from "./augmentTable.ts";
import { clip, type FragmentContext, type ImageSize, type Mirrored, mirror } from "./operation.ts";

/** Input of the parameter rows, float32 [N,P]. */
export const AUGMENT_INPUT = "augment";

/** The size of a spec's images. */
export function imageSize(spec: Pick<Spec, "imshape" | "num_channels">): ImageSize {
  const [height, width] = spec.imshape;
  return { height, width, channels: spec.num_channels };
}

/** Parameters of the images as they reach the operations. */
interface Parameters {
  /** float32 [N,P,1,1]. */
  readonly rows: Value;
  readonly columns: readonly string[];
}

/**
 * Emits the operations of `settings` on images (uint8 [N,H,W,C]); declares the input `augment`, float32
 * [N,P], P >= 1. Returns float32 [N,C,H,W] in [0, 1]. With `gathers`, operations with a chance take the
 * images that they change out of the batch and put them back: less work, in shapes that are known only at
 * run time.
 */
export function emitAugmentation(
  b: GraphBuilder,
  settings: AugmentSettings,
  image: Value,
  { gathers = false }: { readonly gathers?: boolean } = {},
): Value {
  const [batch = 1, height = 1, width = 1, channels = 1] = image.type.shape;
  const size: ImageSize = { height: Number(height), width: Number(width), channels: Number(channels) };
  const columns = augmentColumns(settings);
  const [rows, start] = b.within("augment", () => {
    const rows = b.input(AUGMENT_INPUT, "float32", [batch, columns.length]);
    const pixels = b.div(b.cast(image, "float32"), b.scalar(255));
    return [b.reshape(rows, [0, columns.length, 1, 1]), b.transpose(pixels, [0, 3, 1, 2])];
  });
  const parameters = { rows, columns };
  let images: Mirrored = { x: start, mirrorings: {} };
  for (const name of activeOperations(settings)) {
    const operation = AUGMENT_OPERATIONS[name];
    images = b.within(`augment.${name}`, () => {
      const ctx = { b, column: columnReader(b, name, parameters), ...size };
      if ("emitMirrored" in operation)
        return operation.emitMirrored({ ...ctx, x: images.x }, images.mirrorings);
      const x = mirror(ctx, images);
      const { isDrawn, emit } = operation;
      const after = gathers && isDrawn ? emitOnDrawn(ctx, name, x, parameters) : emit({ ...ctx, x });
      return { x: after, mirrorings: {} };
    });
  }
  return b.within("augment", () => clip(b, mirror({ b, ...size }, images), 0, 1));
}

function columnReader(b: GraphBuilder, name: AugmentName, { rows, columns }: Parameters) {
  return (parameter: string): Value => {
    const place = columns.indexOf(`${name}/${parameter}`);
    if (place === -1) throw new InternalError(`augment.${name} has no column ${parameter}`);
    return b.slice(rows, [place], [place + 1], [1]);
  };
}

/** An operation on the images that it changes alone; the others pass. Images float32 [N,C,H,W]. */
function emitOnDrawn(
  ctx: Omit<FragmentContext, "x">,
  name: AugmentName,
  x: Value,
  { rows, columns }: Parameters,
): Value {
  const operation = AUGMENT_OPERATIONS[name];
  if ("emitMirrored" in operation || !operation.isDrawn)
    throw new InternalError(`augment.${name} does not say which images it changes`);
  const { b } = ctx;
  const flags = b.reshape(operation.isDrawn(ctx), [-1]);
  const places = b.transpose(b.emit("NonZero", [flags]), [1, 0]);
  const drawn = { rows: b.emit("GatherND", [rows, places]), columns };
  const changed = operation.emit({
    ...ctx,
    column: columnReader(b, name, drawn),
    x: b.emit("GatherND", [x, places]),
  });
  return b.emit("ScatterND", [x, places, changed]);
}

/**
 * `augment`: image uint8 [N,H,W,C] and augment float32 [N,P] -> output `augmented`, float32 [N,C,H,W] in
 * [0, 1].
 */
export function buildAugmentGraph(
  ops: OpTable,
  settings: AugmentSettings,
  size: ImageSize,
  batch: Dim = "N",
  form: { readonly gathers?: boolean } = {},
): Graph {
  const b = new GraphBuilder("augment", ops);
  const shape = [batch, size.height, size.width, size.channels];
  const image = b.within("image", () => b.input("image", "uint8", shape));
  b.output("augmented", emitAugmentation(b, settings, image, form));
  return b.build();
}
