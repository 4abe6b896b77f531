// Which form each operator of ours takes on CUDA, by shape. No rule here was measured on a device: they are
// expectations from how ONNX Runtime's CUDA provider computes each operator (facts named with each rule).
// Only operators that have a CUDA kernel at opset 18 may come of them (cudaKernels.ts).
import type { Node } from "../ir/types.ts";

/**
 * The name of the form of an own operator for a node; an operator that is not here has no form on CUDA.
 */
export const cudaForms: Readonly<Record<string, (node: Node) => string>> = {
  ConvInputGrad: () => "convTranspose",
  ConvWeightGrad: () => "perTap",
  // MaxUnpool has no CUDA kernel.
  MaxPoolGrad: () => "scatterAdd",
  BatchNormTraining: () => "trainingMode",
  BatchNormTrainingGrad: () => "channelAffine",
  MaskedCrossEntropy: () => "logSoftmax",
  MaskedCrossEntropyGrad: () => "softmax",
  AdamUpdate: () => "elementwise",
  MomentumUpdate: () => "elementwise",
};
