// The table of operators: one line each. Frozen; handed to builders, never reached for by shared code.
import type { Op, OpTable } from "../ir/op.ts";
import { ACTIVATION } from "./activation.ts";
import { ARITHMETIC } from "./arithmetic.ts";
import { AVERAGE_POOLING } from "./averagePooling.ts";
import { BatchNormTraining, BatchNormTrainingGrad } from "./batchNormTraining.ts";
import { BLOCKS } from "./blocks.ts";
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

const ALL: readonly Op[] = [
  ...ACTIVATION,
  ...ARITHMETIC,
  ...COMPARISON,
  ...ELEMENTARY,
  ...INDEXING,
  ...JOINING,
  ...MATMUL,
  ...MOVEMENT,
  ...NORMALIZATION,
  ...REDUCTION,
  ...SHAPING,
  ...SLICING,
  ...CLIPPING,
  ...EXTREMES,
  ...RECTIFIERS,
  ...REDUCTION_NORMS,
  ...ROUNDING,
  ...SMOOTH_ACTIVATIONS,
  ...TRIGONOMETRY,
  ...AVERAGE_POOLING,
  ...GLOBAL_POOLING,
  ...PADDING,
  ...BLOCKS,
  ...STANDARDIZATION,
  ...MAGNITUDES,
  ...PRODUCTS,
  ...RESIZING,
  ...GRID_SAMPLING,
  ...SEQUENCES,
  ...PLACES,
  ...CLASS_LOSSES,
  ...PASSING,
  ...FACTS,
  AdamUpdate,
  MomentumUpdate,
  BatchNormTraining,
  BatchNormTrainingGrad,
  Conv,
  ConvTranspose,
  ConvInputGrad,
  ConvWeightGrad,
  MaskedCrossEntropy,
  MaskedCrossEntropyGrad,
  MaxPool,
  MaxPoolGrad,
  MaxUnpool,
];

/** Every operator that mttc knows, by name. */
export const OPS: OpTable = new Map(ALL.map((op) => [op.name, op]));
