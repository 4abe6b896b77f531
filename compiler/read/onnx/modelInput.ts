// The image input of a foreign model: which one it is, its layout, and the sizes that it gets. Symbolic
// sizes become those of the spec; a fixed batch is replaced; a fixed height or width that differs is noted.
import type { GraphProto, ValueInfoProto } from "../../codec/onnxSchema.ts";
import { type ErrorCode, MttcError } from "../../diagnostics.ts";
import type { Dim, DType, Shape } from "../../ir/types.ts";
import { elementTypeName, importedDType } from "./tensorValues.ts";

export type Layout = "NCHW" | "NHWC";

export interface InputOptions {
  readonly file: string;
  /** Height and width of the images in pixels. */
  readonly imshape: readonly [number, number];
  /** Channels of the images; where it is not given, the file must say. */
  readonly channels?: number | undefined;
  readonly batch: Dim;
}

export interface ModelInput {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly layout: Layout;
  /** The batch size that the file has fixed, if it has. */
  readonly fileBatch: number | undefined;
  /** Inputs that are not read: they are no image. */
  readonly others: readonly string[];
  readonly notes: readonly string[];
}

/** Channels that images may have; tells the channel axis from a height in files that fix all sizes. */
const MAX_CHANNELS = 16;

/**
 * The one input that is no initializer and that `isNeeded`. E_MODEL_SHAPE unless it is a 4-D image that fits
 * the options. With `isTrunk` other inputs may stand beside the only one that could be an image.
 */
export function readModelInput(
  graph: GraphProto,
  options: InputOptions,
  { isNeeded, isTrunk }: { readonly isNeeded: (name: string) => boolean; readonly isTrunk: boolean },
): ModelInput {
  const initialized = new Set(graph.initializer.map(({ name }) => name));
  const all = graph.input.filter(({ name }) => !initialized.has(name));
  const needed = all.filter(({ name }) => isNeeded(name));
  const images = needed.filter(isImage);
  const inputs = isTrunk && images.length === 1 ? images : needed.length > 0 ? needed : all;
  const [input] = inputs;
  const fail = (message: string, code: ErrorCode = "E_MODEL_SHAPE"): never => {
    throw new MttcError({ code, message, at: { file: options.file, node: input?.name ?? graph.name } });
  };
  if (!input || inputs.length !== 1) {
    const names = inputs.map(({ name }) => name).slice(0, 8);
    return fail(`expected one input, the image, found ${inputs.length}: ${names.join(", ")}`);
  }
  const { elemType = 0, shape } = input.type?.tensorType ?? {};
  const dtype = importedDType(elemType);
  if (dtype !== "float32" && dtype !== "uint8")
    return fail(`expected an image of float or uint8, found ${elementTypeName(elemType)}`, "E_MODEL_OP");
  const dims = (shape?.dim ?? [{}, {}, {}, {}]).map(({ dimValue }) => (dimValue ? dimValue : undefined));
  if (dims.length !== 4) return fail(`expected an image of 4 dimensions, found ${dims.length}`);
  const layout = layoutOf(graph, input, dims, options.channels);
  const [n, c, h, w] = layout === "NCHW" ? dims : [dims[0], dims[3], dims[1], dims[2]];
  const channels = options.channels ?? c ?? fail("the file does not say how many channels images have");
  if (c !== undefined && c !== channels)
    fail(`the model takes images of ${c} channels, they have ${channels}`);
  const [height, width] = options.imshape;
  const isOther = (h ?? height) !== height || (w ?? width) !== width;
  const notes = isOther
    ? [`the file was made for images of ${h}x${w} pixels; it is built for ${height}x${width}`]
    : [];
  const { batch } = options;
  const sized = layout === "NCHW" ? [batch, channels, height, width] : [batch, height, width, channels];
  const others = all.flatMap(({ name }) => (name === input.name ? [] : [name]));
  return { name: input.name, dtype, shape: sized, layout, fileBatch: n, others, notes };
}

/** Numbers of four dimensions. */
function isImage({ type }: ValueInfoProto): boolean {
  const { elemType = 0, shape } = type?.tensorType ?? {};
  const dtype = importedDType(elemType);
  return (dtype === "float32" || dtype === "uint8") && (shape?.dim ?? []).length === 4;
}

/**
 * From the sizes where they tell; else NHWC only if the first thing that happens to the image is a
 * transposition.
 */
function layoutOf(
  graph: GraphProto,
  input: ValueInfoProto,
  dims: readonly (number | undefined)[],
  channels: number | undefined,
): Layout {
  const isChannels = (dim: number | undefined): boolean =>
    dim !== undefined && (dim === channels || (channels === undefined && dim <= MAX_CHANNELS));
  const [, first, , last] = dims;
  if (isChannels(first) !== isChannels(last)) return isChannels(first) ? "NCHW" : "NHWC";
  return firstTransposition(graph, input.name) ? "NHWC" : "NCHW";
}

/** Whether the image, perhaps after some arithmetic on its pixels, is transposed to [N,C,H,W]. */
function firstTransposition(graph: GraphProto, image: string): boolean {
  const ours = new Set([image]);
  for (const node of graph.node) {
    if (!node.input.some((name) => ours.has(name))) continue;
    const perm = node.attribute.find(({ name }) => name === "perm")?.ints;
    if (node.opType === "Transpose") return String(perm) === "0,3,1,2";
    if (!["Cast", "Sub", "Div", "Mul", "Add", "Identity"].includes(node.opType)) return false;
    for (const name of node.output) ours.add(name);
  }
  return false;
}
