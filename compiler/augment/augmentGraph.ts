// Augmentation as a graph: uint8 images and a row of parameters for each -> augmented images in [0, 1]. The
// same fragment is augment.onnx and the front of the training graphs. Without operations it is x / 255.
import { InternalError } from "../diagnostics.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { OpTable } from "../ir/op.ts";
import { concreteDim, type Dim, elementCount, type Graph, type Region, type Value } from "../ir/types.ts";
import type { AugmentName, AugmentSettings } from "../spec/augmentKeys.ts";
import type { Spec } from "../spec/schema.ts";
import { AUGMENT_OPERATIONS, activeOperations, augmentColumns, drawnOperations } from "./augmentTable.ts";
import { clip, type FragmentContext, type ImageSize, type Mirrored, mirror } from "./operation.ts";

/** Input of the parameter rows, float32 [N,P]. */
export const AUGMENT_INPUT = "augment";

/** Pixels are augmented in float32: a sheet of samples shows what the network sees. */
const PIXELS: Region = { isFloat32: true };

/** The size of a spec's images. */
export function imageSize(spec: Pick<Spec, "imshape" | "num_channels">): ImageSize {
  const [height, width] = spec.imshape;
  return { height, width, channels: spec.num_channels };
}

/**
 * Bytes of float32 images that the form for CPUs works on at a time: what stays in the caches. Measured at
 * 256x256x3 on one core, colours in batches of 32: 5.5 ms an image all at once, 2.2 ms by 8 images, 2.0 by 4.
 */
const CPU_CHUNK_BYTES = 4 * 2 ** 20;

/** Parameters of the images as they reach the operations. */
interface Parameters {
  /** float32 [N,P,1,1]. */
  readonly rows: Value;
  readonly columns: readonly string[];
}

/** How a graph is spelled. */
export interface AugmentForm {
  readonly forCpu?: boolean;
}

/**
 * Emits the operations of `settings` on images (uint8 [N,H,W,C]); declares the input `augment`, float32
 * [N,P], P >= 1. Returns float32 [N,C,H,W] in [0, 1]. The form `forCpu` needs a known batch: it goes through
 * the batch in pieces, and operations with a chance take the images that they change out of a piece and put
 * them back, in shapes that are known only at run time.
 */
export function emitAugmentation(
  b: GraphBuilder,
  settings: AugmentSettings,
  image: Value,
  { forCpu = false }: AugmentForm = {},
): Value {
  const [batch = 1, ...sides] = image.type.shape;
  const columns = augmentColumns(settings);
  const within = <T>(body: () => T): T => b.within("augment", body, PIXELS);
  const rows = within(() => {
    const operations = drawnOperations(settings);
    const given = b.input(AUGMENT_INPUT, "float32", [batch, columns.length], { role: "augment", operations });
    return b.reshape(given, [0, columns.length, 1, 1]);
  });
  const imageBytes = 4 * elementCount(sides);
  const piece = Math.max(1, Math.floor(CPU_CHUNK_BYTES / imageBytes));
  if (!forCpu || concreteDim(batch) <= piece)
    return emitOnImages(b, settings, image, { rows, columns }, forCpu);
  const count = concreteDim(batch);
  const pieces: Value[] = [];
  for (let from = 0; from < count; from += piece) {
    const part = (x: Value): Value => within(() => b.slice(x, [from], [Math.min(from + piece, count)], [0]));
    pieces.push(emitOnImages(b, settings, part(image), { rows: part(rows), columns }, forCpu));
  }
  return within(() => b.emit("Concat", pieces, { axis: 0 }));
}

/** The operations on some images, by their rows. */
function emitOnImages(
  b: GraphBuilder,
  settings: AugmentSettings,
  image: Value,
  parameters: Parameters,
  gathers: boolean,
): Value {
  const [, height, width, channels] = image.type.shape;
  const size: ImageSize = { height: Number(height), width: Number(width), channels: Number(channels) };
  const scale = (): Value => {
    const pixels = b.div(b.cast(image, "float32"), b.scalar(255));
    return b.transpose(pixels, [0, 3, 1, 2]);
  };
  const start = b.within("augment", scale, PIXELS);
  let images: Mirrored = { x: start, mirrorings: {} };
  const names = activeOperations(settings);
  for (let i = 0; i < names.length; i++) {
    const [name, next] = [names[i] as AugmentName, names[i + 1]];
    const operation = AUGMENT_OPERATIONS[name];
    const augmented = (): Mirrored => {
      const ctx = { b, column: columnReader(b, name, parameters), ...size };
      if ("emitMirrored" in operation)
        return operation.emitMirrored({ ...ctx, x: images.x }, images.mirrorings);
      const x = mirror(ctx, images);
      const { isDrawn, emit, withNext } = operation;
      if (next && withNext?.next === next) {
        i++;
        const nextColumn = columnReader(b, next, parameters);
        return { x: withNext.emit({ ...ctx, x }, nextColumn), mirrorings: {} };
      }
      const after = gathers && isDrawn ? emitOnDrawn(ctx, name, x, parameters) : emit({ ...ctx, x });
      return { x: after, mirrorings: {} };
    };
    images = b.within(`augment.${name}`, augmented, PIXELS);
  }
  return b.within("augment", () => clip(b, mirror({ b, ...size }, images), 0, 1), PIXELS);
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
  form: AugmentForm = {},
): Graph {
  const b = new GraphBuilder("augment", ops, "augment");
  const shape = [batch, size.height, size.width, size.channels];
  const image = b.within("image", () => b.input("image", "uint8", shape, { role: "image" }));
  b.output("augmented", emitAugmentation(b, settings, image, form), { role: "augmented" });
  return b.build();
}
