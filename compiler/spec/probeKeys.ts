// Keys of the run's section about probes: what is looked at after an epoch to judge the features themselves,
// as patchwork's `fit` has it. They look and decide nothing.
import { z } from "zod";
import { decides, flag, integer, phrase, text } from "./keyKinds.ts";

const MOST_EPOCHS = 1_000_000;
const MOST_NEAREST = 50;
const oftenPhrase = "true (every epoch), a number of epochs (every so many), or false";
const tablePhrase = "the path of a label table, or a map {table, columns}";
const nearestPhrase = `true, a number of images from 1 to ${MOST_NEAREST}, or false`;

/** How often something is done: `true` after every epoch, a number after every so many. */
export type HowOften = boolean | number;

function often(usual: boolean) {
  return z.union([z.boolean(), integer(1, MOST_EPOCHS, oftenPhrase)], phrase(oftenPhrase)).default(usual);
}

const downstreamMap = z.strictObject({
  table: text("the path of a label table").describe("The label table."),
  columns: z
    .array(text("the name of a column"), phrase("a list of columns"))
    .min(1, phrase("one column or more"))
    .max(1_000, phrase("at most 1000 columns"))
    .readonly()
    .nullable()
    .default(null)
    .describe("Its columns of labels; all that look like classes, if not given."),
});

/** Keys of the map. */
export const DOWNSTREAM_KEYS = Object.keys(downstreamMap.shape);

const downstreamTable = z
  .union(
    [text("the path of a label table").transform((table) => ({ table, columns: null })), downstreamMap],
    phrase(tablePhrase),
  )
  .nullable();

/** The keys, in the order in which they are listed. */
export const PROBE_KEYS = {
  downstream_labels: downstreamTable
    .default(null)
    .describe(
      "Label table for probes of the features, whatever the tasks are: its path, or `{table, columns: [species]}`.",
    )
    .meta(decides("nothing")),
  linear_probe: often(true)
    .describe(
      "Fit a linear classifier to the pooled features of `downstream_labels`, a third of them held out: after every " +
        "epoch (true) or every so many.",
    )
    .meta(decides("nothing")),
  rotation_test: often(false)
    .describe(
      "The same of quarter turns: images (of `downstream_labels`, else of `val_labels`) turned by 0, 90, 180 or 270 degrees.",
    )
    .meta(decides("nothing")),
  query_fig: z
    .union([z.boolean(), integer(1, MOST_NEAREST, nearestPhrase)], phrase(nearestPhrase))
    .default(false)
    .describe(
      "Draw, at each `linear_probe`, an image of every class beside the so many nearest to it by cosine; true: 4.",
    )
    .meta(decides("nothing")),
  save_projections: often(false)
    .describe(
      "Keep the vectors of the images of `downstream_labels` (else `val_labels`) with their labels and pictures, for " +
        "TensorBoard's projector.",
    )
    .meta(decides("nothing")),
  visualize_kernels: often(false)
    .describe("Draw the kernels of the FCN's first convolution.")
    .meta(decides("nothing")),
  log_fcn: often(false)
    .describe("Keep the FCN as it is after the epoch, as an ONNX file of its own.")
    .meta(decides("nothing")),
  avpool: flag
    .default(true)
    .describe("Average the features of a probe over the image; false takes all their numbers.")
    .meta(decides("nothing")),
};
