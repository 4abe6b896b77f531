// The names of all operators, so that the type of whatever emits one, or is keyed by one, knows them: the
// table (ops/table.ts) stands above the builder and cannot say it. A test holds both against each other.

// biome-ignore format: a word list
export const OP_NAMES = [
  // ONNX, opset 18
  "Abs", "Acos", "Acosh", "Add", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh",
  "AveragePool", "BatchNormalization", "Cast", "CastLike", "Ceil", "Celu", "CenterCropPad", "Clip",
  "Concat", "Conv", "ConvTranspose", "Cos", "Cosh", "CumSum", "DepthToSpace", "Div", "Dropout", "Einsum",
  "Elu", "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "Gather", "GatherElements",
  "GatherND", "Gemm", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "Greater", "GreaterOrEqual",
  "GridSample", "GroupNormalization", "HardSigmoid", "HardSwish", "Hardmax", "Identity",
  "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LayerNormalization", "LeakyRelu", "Less",
  "LessOrEqual", "Log", "LogSoftmax", "LpNormalization", "LpPool", "MatMul", "Max", "MaxPool", "MaxUnpool",
  "Mean", "MeanVarianceNormalization", "Min", "Mish", "Mod", "Mul", "Neg", "NegativeLogLikelihoodLoss",
  "NonZero", "Not", "OneHot", "Or", "PRelu", "Pad", "Pow", "Range", "Reciprocal", "ReduceL1", "ReduceL2",
  "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
  "ReduceSumSquare", "Relu", "Reshape", "Resize", "ReverseSequence", "Round", "ScatterElements",
  "ScatterND", "Selu", "Shape", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Slice", "Softmax",
  "SoftmaxCrossEntropyLoss", "Softplus", "Softsign", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub",
  "Sum", "Tan", "Tanh", "ThresholdedRelu", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze", "Where",
  "Xor",
  // our own
  "AdamUpdate", "AllGather", "BatchNormTraining", "BatchNormTrainingGrad", "ConvInputGrad", "ConvWeightGrad",
  "MaskGrad", "MaskedCrossEntropy", "MaskedCrossEntropyGrad", "MaxPoolGrad", "MomentumUpdate", "PieceGrad",
  "ReluGrad",
  // ONNX Runtime
  "FusedMatMul",
  // ONNX Runtime, on blocks of channels
  "NchwcConv16", "NchwcConv8", "ReorderInput16", "ReorderInput8", "ReorderOutput16", "ReorderOutput8",
] as const;

export type OpName = (typeof OP_NAMES)[number];
