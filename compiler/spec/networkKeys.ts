// The section of the spec about the network: the feature extractor (FCN), the layers that tasks share and
// those of their heads.
import { z } from "zod";
import { decides, flag, integer, phrase, text } from "./keyKinds.ts";

const MAX_FILTERS = 65_536;
const layerPhrase = `a number of filters (1 to ${MAX_FILTERS}), "p", "d" or "r"`;
const layerEntry = z.union([integer(1, MAX_FILTERS), z.enum(["p", "d", "r"])], phrase(layerPhrase));

function layers(most = 1_000) {
  const expected = `a list of at most ${most} layers`;
  return z.array(layerEntry, phrase(expected)).max(most, phrase(expected));
}

const trainFcnPhrase = "true, false or {from: name of a node}";
const fcnPhrase = "a map {layers: [...]}, the path of a model file (.onnx, .h5, .keras) or a map {path: ...}";
const channelsPhrase = "a number, or a list of one number per channel";

/** One number, or one per channel; null leaves the images as they are. */
function perChannel() {
  const list = z
    .array(z.number(phrase(channelsPhrase)), phrase(channelsPhrase))
    .min(1)
    .max(16);
  const one = z.number().transform((value: number): number[] => [value]);
  return z.union([z.null(), one, list], phrase(channelsPhrase)).default(null);
}

/** Tensors of a model file, by name. */
function tensorNames() {
  const expected = "a list of names of tensors in the model file";
  const name = z.string(phrase(expected)).min(1, phrase(expected));
  return z.array(name, phrase(expected)).default([]);
}

/** A pretrained network as the feature extractor. */
const importedFcn = z.strictObject({
  path: text("the path of a model file (.onnx, .h5, .keras)").describe("The model file."),
  output: text("the name of a value").nullable().default(null).describe("The value that is the feature map."),
  mean: perChannel().describe("Subtracted from the scaled pixels."),
  std: perChannel().describe("Divides the centred pixels."),
  scale: z
    .number(phrase("a number"))
    .nullable()
    .default(null)
    .describe("Factor of the pixels, in place of 1/norm."),
  layout: z
    .enum(["auto", "NCHW", "NHWC"], phrase('"auto", "NCHW" or "NHWC"'))
    .default("auto")
    .describe("Layout of the model's image input."),
  batchnorm: z
    .enum(["frozen", "train"], phrase('"frozen" or "train"'))
    .default("frozen")
    .describe("Whether the trained part's batch norms train their statistics."),
  train: tensorNames().describe(
    "Tensors that are trained though they look like constants of the arithmetic.",
  ),
  fixed: tensorNames().describe("Tensors that are never trained."),
});

/** Keys of a pretrained network as the feature extractor. */
export const IMPORTED_FCN_KEYS = Object.keys(importedFcn.shape);

/** The feature extractor as layers. */
const layeredFcn = z.strictObject(
  {
    layers: layers().min(1, phrase("at least one layer")).describe("The layers, from the image on."),
  },
  {
    error: (issue) => {
      if (issue.code === "unrecognized_keys") return undefined;
      return fcnPhrase;
    },
  },
);

const fcn = z.preprocess(
  (value) => (typeof value === "string" ? { path: value } : value),
  z.union([layeredFcn, importedFcn], phrase(fcnPhrase)),
);

/** The keys, in the order in which the README lists them. */
export const NETWORK_KEYS = {
  fcn: fcn
    .describe(
      "The feature extractor (FCN), shared by all tasks: `{layers: [16, p, 32]}`, the path of a model (.onnx, .h5, " +
        ".keras), or `{path, output, mean, std, scale, layout, batchnorm, train, fixed}`.",
    )
    .meta(decides("settings")),
  train_fcn: z
    .union(
      [z.boolean(), z.strictObject({ from: text("the name of a node of the fcn") })],
      phrase(trainFcnPhrase),
    )
    .default(false)
    .describe(
      "Whether the FCN is trained: false freezes it to the bit, `{from: name}` trains it from a node on.",
    ),
  shared_layers: layers().default([]).describe("Trained layers between the FCN and the heads."),
  task_layers: layers()
    .default([128, "p", 128])
    .describe("Hidden layers of each head, before global pooling and the dense layer."),
  global_pooling: z
    .enum(["max", "average"], phrase('"max" or "average"'))
    .default("max")
    .describe("Pooling over the image at the end of each head."),
  kernel_size: integer(1, 63).default(3).describe("Side of the convolutions' kernels."),
  padding: z
    .enum(["same", "valid"], phrase('"same" or "valid"'))
    .default("same")
    .describe("Padding of the convolutions."),
  dropout_rate: z
    .number(phrase("a number >= 0 and < 1"))
    .min(0, phrase("a number >= 0 and < 1"))
    .lt(1, phrase("a number >= 0 and < 1"))
    .default(0.5)
    .describe('Rate of the "d" layers: the share of whole channels that is dropped.'),
  separable: flag.default(false).describe("Depthwise separable convolutions."),
  batchnorm: flag.default(false).describe("Batch normalisation after each convolution."),
  sync_batchnorm: flag
    .default(true)
    .describe(
      "Whether batch norms of several processes take the moments of all their images, as one process does; false: each " +
        "process normalises by its own images, and the running statistics are the mean over the processes.",
    ),
  sobel: flag
    .default(false)
    .describe(
      "Edges in place of colours, as patchwork has it: the mean of the channels, Sobel filtered down and across, and " +
        "zeros, so that the network takes 3 channels. A part of the graph, exports included.",
    ),
};
