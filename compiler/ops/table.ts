// The table of operators, by family: one line for each file of ops. Frozen; handed to builders, never reached
// for by shared code.
import type { Op, OpTable } from "../ir/op.ts";
import { COLLECTIVES } from "./allGather.ts";
import { ARG_EXTREMES } from "./argMax.ts";
import { ARITHMETIC } from "./arithmetic.ts";
import { AVERAGE_POOLING } from "./averagePooling.ts";
import { BATCH_NORMALIZATION } from "./batchNormalization.ts";
import { BatchNormTraining, BatchNormTrainingGrad } from "./batchNormTraining.ts";
import { CASTS } from "./casts.ts";
import { CHANNEL_BLOCK_OPS } from "./channelBlocks.ts";
import { CLASS_LOSSES } from "./classLosses.ts";
import { CLIPPING } from "./clipping.ts";
import { COMPARISON } from "./comparison.ts";
import { CONCAT_SPLIT } from "./concatSplit.ts";
import { Conv } from "./convolution.ts";
import { ConvInputGrad, ConvWeightGrad } from "./convolutionGradients.ts";
import { MaskedCrossEntropy, MaskedCrossEntropyGrad } from "./crossEntropy.ts";
import { DEPTH_TO_SPACE } from "./depthToSpace.ts";
import { DROPOUT } from "./dropout.ts";
import { PRODUCTS } from "./einsum.ts";
import { ELEMENTARY } from "./elementary.ts";
import { REPETITION } from "./expandTile.ts";
import { FUSED_PRODUCTS } from "./fusedMatMul.ts";
import { GATHER_SCATTER } from "./gatherScatter.ts";
import { GATHER_SCATTER_ND } from "./gatherScatterND.ts";
import { GENERATORS } from "./generators.ts";
import { GLOBAL_POOLING } from "./globalPooling.ts";
import { GRID_SAMPLING } from "./gridSample.ts";
import { LAYER_NORMALIZATION } from "./layerNormalization.ts";
import { LOCAL_RESPONSE } from "./localResponse.ts";
import { LP_NORMALIZATION } from "./lpNormalization.ts";
import { MATMUL } from "./matmul.ts";
import { INDEX_MARKS } from "./oneHot.ts";
import { AdamUpdate, MomentumUpdate } from "./optimizerUpdates.ts";
import { PADDING } from "./padding.ts";
import { PIECE_GRADIENTS } from "./pieceGradients.ts";
import { MaxPool, MaxPoolGrad, MaxUnpool } from "./pooling.ts";
import { RECTIFIERS } from "./rectifiers.ts";
import { REDUCTION } from "./reduction.ts";
import { REDUCTION_NORMS } from "./reductionNorms.ts";
import { RESHAPING } from "./reshape.ts";
import { RESIZING } from "./resize.ts";
import { ROUNDING } from "./rounding.ts";
import { SEQUENCES } from "./sequences.ts";
import { SHAPE_QUERIES } from "./shapeQueries.ts";
import { SLICING } from "./slicing.ts";
import { SMOOTH_ACTIVATIONS } from "./smoothActivations.ts";
import { SOFTMAX } from "./softmax.ts";
import { TOP_K } from "./topK.ts";
import { TRANSPOSITION } from "./transpose.ts";
import { ConvTranspose } from "./transposedConvolution.ts";
import { TRIGONOMETRY } from "./trigonometry.ts";
import { CHOICE } from "./where.ts";

/** Families of operators, each the ops of one or two files. */
export const OP_FAMILIES: Readonly<Record<string, readonly Op[]>> = {
  arithmetic: ARITHMETIC,
  elementary: ELEMENTARY,
  trigonometry: TRIGONOMETRY,
  rounding: ROUNDING,
  comparison: COMPARISON,
  choice: CHOICE,
  softmax: SOFTMAX,
  rectifier: RECTIFIERS,
  clipping: CLIPPING,
  "gradient of pieces": PIECE_GRADIENTS,
  "smooth activation": SMOOTH_ACTIVATIONS,
  reduction: [...REDUCTION, ...REDUCTION_NORMS],
  "arg and top k": [...ARG_EXTREMES, ...TOP_K],
  "matrix product": [...MATMUL, ...PRODUCTS, ...FUSED_PRODUCTS],
  convolution: [Conv, ConvTranspose, ConvInputGrad, ConvWeightGrad, ...CHANNEL_BLOCK_OPS],
  pooling: [MaxPool, MaxUnpool, MaxPoolGrad, ...AVERAGE_POOLING, ...GLOBAL_POOLING],
  normalization: [
    ...BATCH_NORMALIZATION,
    BatchNormTraining,
    BatchNormTrainingGrad,
    ...LAYER_NORMALIZATION,
    ...LOCAL_RESPONSE,
    ...LP_NORMALIZATION,
  ],
  resizing: [...RESIZING, ...GRID_SAMPLING],
  shape: [...RESHAPING, ...SHAPE_QUERIES],
  cast: CASTS,
  transposition: [...TRANSPOSITION, ...DEPTH_TO_SPACE],
  repetition: REPETITION,
  padding: PADDING,
  "concat and split": CONCAT_SPLIT,
  slicing: SLICING,
  "gather and scatter": [...GATHER_SCATTER, ...GATHER_SCATTER_ND],
  "one-hot": INDEX_MARKS,
  sequence: SEQUENCES,
  dropout: DROPOUT,
  generator: GENERATORS,
  "exchange between processes": COLLECTIVES,
  loss: [...CLASS_LOSSES, MaskedCrossEntropy, MaskedCrossEntropyGrad],
  "optimizer update": [AdamUpdate, MomentumUpdate],
};

/** Every operator that mttc knows, by name. */
export const OPS: OpTable = new Map(
  Object.values(OP_FAMILIES)
    .flat()
    .map((op) => [op.name, op]),
);
