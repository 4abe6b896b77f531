// Samples of every operator: one line for each family, as in compiler/ops/table.ts.

import { ACTIVATION_SAMPLES } from "./activations.ts";
import { ARITHMETIC_SAMPLES } from "./arithmetic.ts";
import { BATCH_NORM_TRAINING_SAMPLES } from "./batchNormTraining.ts";
import { CAST_SAMPLES } from "./casts.ts";
import { CLASS_LOSS_SAMPLES } from "./classLosses.ts";
import { COMPARISON_SAMPLES } from "./comparison.ts";
import { CONCAT_SPLIT_SAMPLES } from "./concatSplit.ts";
import { CONVOLUTION_SAMPLES } from "./convolution.ts";
import { CROSS_ENTROPY_SAMPLES } from "./crossEntropy.ts";
import { DEPTH_TO_SPACE_SAMPLES } from "./depthToSpace.ts";
import { GATHER_SCATTER_SAMPLES } from "./gatherScatter.ts";
import { GENERATOR_SAMPLES } from "./generators.ts";
import { GRID_SAMPLE_SAMPLES } from "./gridSample.ts";
import { MATMUL_SAMPLES } from "./matmul.ts";
import { NORMALIZATION_SAMPLES } from "./normalization.ts";
import { OPTIMIZER_UPDATE_SAMPLES } from "./optimizerUpdates.ts";
import { PADDING_SAMPLES } from "./padding.ts";
import { POOLING_SAMPLES } from "./pooling.ts";
import { REDUCTION_SAMPLES } from "./reduction.ts";
import { RESHAPE_SAMPLES } from "./reshape.ts";
import { RESIZE_SAMPLES } from "./resize.ts";
import { ROUNDING_SAMPLES } from "./rounding.ts";
import type { Sample } from "./sample.ts";
import { SEQUENCE_SAMPLES } from "./sequences.ts";
import { SOFTMAX_SAMPLES } from "./softmax.ts";
import { TOP_K_SAMPLES } from "./topK.ts";
import { TRANSPOSE_SAMPLES } from "./transpose.ts";
import { TRIGONOMETRY_SAMPLES } from "./trigonometry.ts";

/** Samples by operator name. */
export const SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  ...SOFTMAX_SAMPLES,
  ...ACTIVATION_SAMPLES,
  ...CLASS_LOSS_SAMPLES,
  ...CAST_SAMPLES,
  ...PADDING_SAMPLES,
  ...GENERATOR_SAMPLES,
  ...TRANSPOSE_SAMPLES,
  ...CONCAT_SPLIT_SAMPLES,
  ...RESHAPE_SAMPLES,
  ...TOP_K_SAMPLES,
  ...SEQUENCE_SAMPLES,
  ...GATHER_SCATTER_SAMPLES,
  ...NORMALIZATION_SAMPLES,
  ...DEPTH_TO_SPACE_SAMPLES,
  ...ARITHMETIC_SAMPLES,
  ...COMPARISON_SAMPLES,
  ...MATMUL_SAMPLES,
  ...OPTIMIZER_UPDATE_SAMPLES,
  ...REDUCTION_SAMPLES,
  ...POOLING_SAMPLES,
  ...CROSS_ENTROPY_SAMPLES,
  ...CONVOLUTION_SAMPLES,
  ...BATCH_NORM_TRAINING_SAMPLES,
  ...ROUNDING_SAMPLES,
  ...TRIGONOMETRY_SAMPLES,
  ...RESIZE_SAMPLES,
  ...GRID_SAMPLE_SAMPLES,
};
