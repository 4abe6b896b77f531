// The table of operators, by family: one line for each file of ops. Frozen; handed to builders, never reached
// for by shared code.
import type { Op, OpTable } from "../ir/op.ts";
import { ACTIVATION } from "./activation.ts";
import { ARITHMETIC } from "./arithmetic.ts";
import { AVERAGE_POOLING } from "./averagePooling.ts";
import { BatchNormTraining, BatchNormTrainingGrad } from "./batchNormTraining.ts";
import { BLOCKS } from "./blocks.ts";
import { CHANNEL_BLOCK_OPS } from "./channelBlocks.ts";
import { CLASS_LOSSES } from "./classLosses.ts";
import { CLIPPING } from "./clipping.ts";
import { COMPARISON } from "./comparison.ts";
import { Conv } from "./convolution.ts";
import { ConvInputGrad, ConvWeightGrad } from "./convolutionGradients.ts";
import { MaskedCrossEntropy, MaskedCrossEntropyGrad } from "./crossEntropy.ts";
import { PRODUCTS } from "./einsum.ts";
import { ELEMENTARY } from "./elementary.ts";
import { EXTREMES } from "./extremes.ts";
import { FACTS } from "./facts.ts";
import { FUSED_PRODUCTS } from "./fusedMatMul.ts";
import { GLOBAL_POOLING } from "./globalPooling.ts";
import { GRID_SAMPLING } from "./gridSample.ts";
import { INDEXING } from "./indexing.ts";
import { JOINING } from "./joining.ts";
import { MAGNITUDES } from "./magnitudes.ts";
import { MATMUL } from "./matmul.ts";
import { MOVEMENT } from "./movement.ts";
import { NORMALIZATION } from "./normalization.ts";
import { AdamUpdate, MomentumUpdate } from "./optimizerUpdates.ts";
import { PADDING } from "./padding.ts";
import { PASSING } from "./passing.ts";
import { PIECE_GRADIENTS } from "./pieceGradients.ts";
import { PLACES } from "./places.ts";
import { MaxPool, MaxPoolGrad, MaxUnpool } from "./pooling.ts";
import { RECTIFIERS } from "./rectifiers.ts";
import { REDUCTION } from "./reduction.ts";
import { REDUCTION_NORMS } from "./reductionNorms.ts";
import { RESIZING } from "./resize.ts";
import { ROUNDING } from "./rounding.ts";
import { SEQUENCES } from "./sequences.ts";
import { SHAPING } from "./shaping.ts";
import { SLICING } from "./slicing.ts";
import { SMOOTH_ACTIVATIONS } from "./smoothActivations.ts";
import { STANDARDIZATION } from "./standardization.ts";
import { ConvTranspose } from "./transposedConvolution.ts";
import { TRIGONOMETRY } from "./trigonometry.ts";

/** Families of operators, each the ops of one or two files. */
export const OP_FAMILIES: Readonly<Record<string, readonly Op[]>> = {
  arithmetic: ARITHMETIC,
  elementary: ELEMENTARY,
  trigonometry: TRIGONOMETRY,
  rounding: ROUNDING,
  comparison: COMPARISON,
  activation: ACTIVATION,
  rectifier: RECTIFIERS,
  clipping: CLIPPING,
  "gradient of pieces": PIECE_GRADIENTS,
  "smooth activation": SMOOTH_ACTIVATIONS,
  reduction: [...REDUCTION, ...REDUCTION_NORMS],
  extreme: EXTREMES,
  "matrix product": [...MATMUL, ...PRODUCTS, ...FUSED_PRODUCTS],
  convolution: [Conv, ConvTranspose, ConvInputGrad, ConvWeightGrad, ...CHANNEL_BLOCK_OPS],
  pooling: [MaxPool, MaxUnpool, MaxPoolGrad, ...AVERAGE_POOLING, ...GLOBAL_POOLING],
  normalization: [
    ...NORMALIZATION,
    BatchNormTraining,
    BatchNormTrainingGrad,
    ...STANDARDIZATION,
    ...MAGNITUDES,
  ],
  resizing: [...RESIZING, ...GRID_SAMPLING],
  shaping: SHAPING,
  movement: [...MOVEMENT, ...PADDING, ...BLOCKS],
  joining: JOINING,
  slicing: SLICING,
  indexing: [...INDEXING, ...PLACES],
  sequence: SEQUENCES,
  passing: PASSING,
  fact: FACTS,
  loss: [...CLASS_LOSSES, MaskedCrossEntropy, MaskedCrossEntropyGrad],
  "optimizer update": [AdamUpdate, MomentumUpdate],
};

/** Every operator that mttc knows, by name. */
export const OPS: OpTable = new Map(
  Object.values(OP_FAMILIES)
    .flat()
    .map((op) => [op.name, op]),
);
