// Samples of every operator: one line for each family, as in compiler/ops/table.ts.
import { ACTIVATION_SAMPLES } from "./activation.ts";
import { ACTIVATION_PIECE_SAMPLES } from "./activationPieces.ts";
import { ARITHMETIC_SAMPLES } from "./arithmetic.ts";
import { BATCH_NORM_TRAINING_SAMPLES } from "./batchNormTraining.ts";
import { BLOCK_SAMPLES } from "./blocks.ts";
import { CLASS_LOSS_SAMPLES } from "./classLosses.ts";
import { COMPARISON_SAMPLES } from "./comparison.ts";
import { CONVOLUTION_SAMPLES } from "./convolution.ts";
import { CROSS_ENTROPY_SAMPLES } from "./crossEntropy.ts";
import { EXTREME_SAMPLES } from "./extremes.ts";
import { GRID_SAMPLE_SAMPLES } from "./gridSample.ts";
import { INDEXING_SAMPLES } from "./indexing.ts";
import { MATMUL_SAMPLES } from "./matmul.ts";
import { MOVEMENT_SAMPLES } from "./movement.ts";
import { NORMALIZATION_SAMPLES } from "./normalization.ts";
import { OPTIMIZER_UPDATE_SAMPLES } from "./optimizerUpdates.ts";
import { POOLING_SAMPLES } from "./pooling.ts";
import { REDUCTION_SAMPLES } from "./reduction.ts";
import { RESIZE_SAMPLES } from "./resize.ts";
import { ROUNDING_SAMPLES } from "./rounding.ts";
import type { Sample } from "./sample.ts";
import { SEQUENCE_SAMPLES } from "./sequences.ts";
import { SHAPING_SAMPLES } from "./shaping.ts";
import { STANDARDIZATION_SAMPLES } from "./standardization.ts";
import { TRIGONOMETRY_SAMPLES } from "./trigonometry.ts";

/** Samples by operator name. */
export const SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  ...ACTIVATION_SAMPLES,
  ...ARITHMETIC_SAMPLES,
  ...COMPARISON_SAMPLES,
  ...INDEXING_SAMPLES,
  ...MATMUL_SAMPLES,
  ...MOVEMENT_SAMPLES,
  ...NORMALIZATION_SAMPLES,
  ...OPTIMIZER_UPDATE_SAMPLES,
  ...REDUCTION_SAMPLES,
  ...SHAPING_SAMPLES,
  ...POOLING_SAMPLES,
  ...CROSS_ENTROPY_SAMPLES,
  ...CONVOLUTION_SAMPLES,
  ...BATCH_NORM_TRAINING_SAMPLES,
  ...ACTIVATION_PIECE_SAMPLES,
  ...EXTREME_SAMPLES,
  ...ROUNDING_SAMPLES,
  ...TRIGONOMETRY_SAMPLES,
  ...STANDARDIZATION_SAMPLES,
  ...BLOCK_SAMPLES,
  ...RESIZE_SAMPLES,
  ...GRID_SAMPLE_SAMPLES,
  ...SEQUENCE_SAMPLES,
  ...CLASS_LOSS_SAMPLES,
};
