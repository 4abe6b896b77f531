// The classes of Keras layers that can be imported: one line each.
import {
  activationLayer,
  eluLayer,
  leakyReluLayer,
  preluLayer,
  reluLayer,
  softmaxLayer,
} from "./kerasActivation.ts";
import {
  convLayer,
  convTransposeLayer,
  denseLayer,
  depthwiseLayer,
  separableLayer,
} from "./kerasConvolution.ts";
import {
  activationOperator,
  addLayer,
  averageLayer,
  concatenateLayer,
  divideLayer,
  maximumLayer,
  minimumLayer,
  multiplyLayer,
  scaledSumLayer,
  subtractLayer,
  tensorFlowLayer,
} from "./kerasMerging.ts";
import {
  batchNormLayer,
  groupNormLayer,
  layerNormLayer,
  layerScaleLayer,
  normalizationLayer,
  rescalingLayer,
} from "./kerasNormalization.ts";
import { averagePoolLayer, globalAverageLayer, globalMaxLayer, maxPoolLayer } from "./kerasPooling.ts";
import {
  augmentationLayer,
  centerCropLayer,
  croppingLayer,
  flattenLayer,
  identityLayer,
  permuteLayer,
  randomCropLayer,
  reshapeLayer,
  resizingLayer,
  upSamplingLayer,
  zeroPaddingLayer,
} from "./kerasShaping.ts";
import type { LayerRule } from "./layerCall.ts";

const RULES: Readonly<Record<string, LayerRule>> = {
  Activation: activationLayer,
  ELU: eluLayer,
  LeakyReLU: leakyReluLayer,
  PReLU: preluLayer,
  ReLU: reluLayer,
  Softmax: softmaxLayer,

  Conv2D: convLayer,
  Conv2DTranspose: convTransposeLayer,
  Dense: denseLayer,
  DepthwiseConv2D: depthwiseLayer,
  SeparableConv2D: separableLayer,

  BatchNormalization: batchNormLayer,
  GroupNormalization: groupNormLayer,
  LayerNormalization: layerNormLayer,
  LayerScale: layerScaleLayer,
  Normalization: normalizationLayer,
  Rescaling: rescalingLayer,

  AveragePooling2D: averagePoolLayer,
  GlobalAveragePooling2D: globalAverageLayer,
  GlobalMaxPooling2D: globalMaxLayer,
  MaxPooling2D: maxPoolLayer,

  CenterCrop: centerCropLayer,
  Cropping2D: croppingLayer,
  Flatten: flattenLayer,
  Permute: permuteLayer,
  Reshape: reshapeLayer,
  Resizing: resizingLayer,
  UpSampling2D: upSamplingLayer,
  ZeroPadding2D: zeroPaddingLayer,

  Add: addLayer,
  Average: averageLayer,
  Concatenate: concatenateLayer,
  CustomScaleLayer: scaledSumLayer,
  Divide: divideLayer,
  Maximum: maximumLayer,
  Minimum: minimumLayer,
  Multiply: multiplyLayer,
  Subtract: subtractLayer,
  TFOpLambda: tensorFlowLayer,
  TrueDivide: divideLayer,

  ActivityRegularization: identityLayer,
  AlphaDropout: identityLayer,
  Dropout: identityLayer,
  GaussianDropout: identityLayer,
  GaussianNoise: identityLayer,
  Identity: identityLayer,
  SpatialDropout2D: identityLayer,
  StochasticDepth: identityLayer,

  RandomCrop: randomCropLayer,
  ...Object.fromEntries(
    [
      ...["AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration"],
      ...["RandomColorJitter", "RandomContrast", "RandomElasticTransform", "RandomErasing", "RandomFlip"],
      ...["RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective"],
      ...["RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear"],
      ...["RandomTranslation", "RandomZoom"],
    ].map((name) => [name, augmentationLayer]),
  ),
};

/** Classes of layers that have a rule. */
export const LAYER_CLASSES: readonly string[] = Object.keys(RULES);

/** The rule of a class of layers; undefined for one that is not supported. */
export function layerRule(className: string): LayerRule | undefined {
  return Object.hasOwn(RULES, className) ? RULES[className] : activationOperator(className);
}
