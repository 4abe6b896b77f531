// An exported file for images of any size: what training does between decoding and the network, grey and
// resize, goes in front of the graph. In: the bytes of a file that takes `image` uint8 [N,height,width,C];
// out: those of one that takes uint8 [1,H,W,3], RGB, H and W free, and sees the same numbers as training.
import { decodeModelProto, encodeModelProto, type ValueInfoProto } from "../codec/protobuf.ts";
import { ONNX_DTYPES } from "../codec/tensorBytes.ts";
import { MttcError } from "../diagnostics.ts";
import type { ModelSpec } from "../spec/schema.ts";
import { LUMINANCE } from "./imageReading.ts";
import type { MetadataContent } from "./modelMetadata.ts";
import { OnnxNodes } from "./onnxNodes.ts";
import { resizeNodes } from "./resizeNodes.ts";

const IMAGE = "image";
/** Names of what is put in front begin so. */
const PREFIX = "any-size";
/** Colours of an image that is given. */
const RGB = 3;

/** E_USAGE where the model takes other images than 8-bit RGB or grey, and for the parts of a split export. */
export function refuseAnySize(spec: ModelSpec, split: boolean): void {
  const { num_channels: channels, single_channel: isGrey, bit_depth: bits } = spec;
  if (split) {
    const message =
      "parts of a split export take the network's size: a trunk is joined to heads, or trained on";
    throw new MttcError({ code: "E_USAGE", message, hint: "export twice: with --split and with --any-size" });
  }
  if (bits === 8 && (channels === RGB || channels === 1 || isGrey)) return;
  const found = bits === 8 ? `num_channels ${channels}` : `bit_depth ${bits}`;
  throw new MttcError({
    code: "E_USAGE",
    message: `files for images of any size are made of models of 8-bit RGB or grey; the run has ${found}`,
    hint: "leave --any-size out: whoever serves the file resizes",
  });
}

/** What `preprocessing` says of a file for any size, from what it says of the network's own. */
export function anySizePreprocessing(of: MetadataContent["preprocessing"]): MetadataContent["preprocessing"] {
  return { ...of, channels: RGB, greyscale: false, resize: "graph" };
}

/** The file for any size. `network`: what the graph itself takes. */
export function withAnySize(
  bytes: Uint8Array,
  network: {
    readonly height: number;
    readonly width: number;
    readonly channels: number;
    readonly greyscale: boolean;
  },
): Uint8Array {
  const model = decodeModelProto(bytes);
  const { graph } = model;
  const b = new OnnxNodes(PREFIX);
  const resized = b.cast(brought(b, network), "uint8");
  const node = graph.node.map((each) => ({
    ...each,
    input: each.input.map((name) => (name === IMAGE ? resized : name)),
  }));
  return encodeModelProto({
    ...model,
    graph: {
      ...graph,
      node: [...b.nodes, ...node],
      initializer: [...b.constants, ...graph.initializer],
      input: graph.input.map((input) => (input.name === IMAGE ? ANY_IMAGE : input)),
    },
  });
}

const ANY_IMAGE: ValueInfoProto = {
  name: IMAGE,
  type: {
    tensorType: {
      elemType: ONNX_DTYPES.uint8,
      shape: { dim: [{ dimValue: 1 }, { dimParam: "H" }, { dimParam: "W" }, { dimValue: RGB }] },
    },
  },
};

/** The image as the network sees it, float32 [1,height,width,channels]. */
function brought(b: OnnxNodes, network: Parameters<typeof withAnySize>[1]): string {
  const { height, width, channels, greyscale } = network;
  const sizes = {
    height: b.op("Shape", [IMAGE], { start: 1, end: 2 }),
    width: b.op("Shape", [IMAGE], { start: 2, end: 3 }),
  };
  if (!greyscale) return resizeNodes(b, { image: IMAGE, ...sizes, channels, isBytes: true }, height, width);
  const plane = b.op("Reshape", [luminance(b, IMAGE), b.shape(sizes.height, sizes.width)]);
  const grey = resizeNodes(b, { image: plane, ...sizes, channels: 1, isBytes: false }, height, width);
  return channels === 1 ? grey : b.op("Expand", [grey, b.ints(1, height, width, channels)]);
}

/**
 * Bytes [1,H,W,3] -> the luminance of linear light as a byte's number, float32 [1,H,W,1]: libvips goes back
 * to sRGB's curve by a table of 256 rounded steps, linear in between. Grey stays what it is.
 */
function luminance(b: OnnxNodes, image: string): string {
  const light = b.constant(
    "float32",
    bytes().map((v) => linearLight(v / 255)),
  );
  const parts = LUMINANCE.map((weight, c) => {
    const channel = b.op("Slice", [image, b.ints(c), b.ints(c + 1), b.ints(3)]);
    return b.op("Mul", [b.op("Gather", [light, b.cast(channel, "int32")]), b.constant("float32", [weight])]);
  });
  const [red = "", green = "", blue = ""] = parts;
  const sum = b.op("Add", [b.op("Add", [red, green]), blue]);
  const y = b.op("Clip", [
    b.op("Mul", [sum, b.constant("float32", [255])]),
    ...[b.constant("float32", [0], []), b.constant("float32", [255], [])],
  ]);
  const below = b.op("Floor", [y]);
  const step = b.cast(below, "int32");
  const curve = bytes().map((v) => Math.round(255 * companded(v / 255)));
  const low = b.op("Gather", [b.constant("float32", curve), step]);
  const rises = curve.map((value, i) => (curve[i + 1] ?? value) - value);
  const rise = b.op("Gather", [b.constant("float32", rises), step]);
  return b.op("Round", [b.op("Add", [low, b.op("Mul", [rise, b.op("Sub", [y, below])])])]);
}

/** sRGB's curve (IEC 61966-2-1): a share of white -> linear light, and back. */
function linearLight(v: number): number {
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
}

function companded(light: number): number {
  return light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
}

function bytes(): number[] {
  return Array.from({ length: 256 }, (_, v) => v);
}
