// The table of operators: one line each. Frozen; handed to builders, never reached for by shared code.
import type { Op, OpTable } from "../ir/op.ts";
import { BatchNormTraining, BatchNormTrainingGrad } from "./batchNormTraining.ts";
import { Conv, ConvTranspose } from "./convolution.ts";
import { ConvInputGrad, ConvWeightGrad } from "./convolutionGradients.ts";
import { MaskedCrossEntropy, MaskedCrossEntropyGrad } from "./crossEntropy.ts";
import { AveragePool, MaxPool, MaxPoolGrad } from "./pooling.ts";

const ALL: readonly Op[] = [
  BatchNormTraining,
  BatchNormTrainingGrad,
  Conv,
  ConvTranspose,
  ConvInputGrad,
  ConvWeightGrad,
  MaskedCrossEntropy,
  MaskedCrossEntropyGrad,
  AveragePool,
  MaxPool,
  MaxPoolGrad,
];

/** Every operator that mttc knows, by name. */
export const OPS: OpTable = new Map(ALL.map((op) => [op.name, op]));
