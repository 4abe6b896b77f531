// The operators that have forms, by name, for the types of the tables that choose among these: a table that
// names a form which does not exist, or that forgets an operator of ours, does not compile.
import { AveragePool } from "./averagePooling.ts";
import { BatchNormTraining, BatchNormTrainingGrad } from "./batchNormTraining.ts";
import { Concat } from "./concatSplit.ts";
import { Conv } from "./convolution.ts";
import { ConvInputGrad, ConvWeightGrad } from "./convolutionGradients.ts";
import { MaskedCrossEntropy, MaskedCrossEntropyGrad } from "./crossEntropy.ts";
import { MatMul } from "./matmul.ts";
import { AdamUpdate, MomentumUpdate } from "./optimizerUpdates.ts";
import { MaskGrad, PieceGrad, ReluGrad } from "./pieceGradients.ts";
import { MaxPoolGrad } from "./pooling.ts";
import { ConvTranspose } from "./transposedConvolution.ts";

/** Operators of ours: a target has a form of each. */
export const OWN_OPS = {
  ConvInputGrad,
  ConvWeightGrad,
  MaxPoolGrad,
  BatchNormTraining,
  BatchNormTrainingGrad,
  ReluGrad,
  MaskGrad,
  PieceGrad,
  MaskedCrossEntropy,
  MaskedCrossEntropyGrad,
  AdamUpdate,
  MomentumUpdate,
};

/** Standard operators that a target may have in another spelling. */
export const RESPELLED_OPS = { Conv, ConvTranspose, AveragePool, Concat, MatMul };

export type OwnOpName = keyof typeof OWN_OPS;
export type RespelledOpName = keyof typeof RESPELLED_OPS;
export type LoweredOpName = OwnOpName | RespelledOpName;

/** The names of an operator's forms. */
export type FormOf<Name extends LoweredOpName> = keyof (typeof OWN_OPS &
  typeof RESPELLED_OPS)[Name]["lower"] &
  string;
