// What the rules of Keras layers are written against: one call of one layer, its inputs as IR values, its
// weights by declaration. In: a LayerCall; out: the layer's result. Invariant: a value with four axes is
// stored as NCHW whatever the Keras model's data_format; all others have their axes as in Keras.
import type { ErrorCode } from "../../diagnostics.ts";
import type { GraphBuilder } from "../../ir/builder.ts";
import type { Value } from "../../ir/types.ts";
import type { ImageLayout } from "./kerasLayout.ts";
import type { StoredArray, WeightDeclaration } from "./kerasWeights.ts";
import type { LayerConfig } from "./layerConfig.ts";

export interface LayerCall {
  readonly b: GraphBuilder;
  /** Path of the layer, `outer/inner`: origin of its nodes, and start of its constants' names. */
  readonly layer: string;
  readonly className: string;
  readonly config: LayerConfig;
  /** Tensors and plain numbers that the layer is called with, in order. */
  readonly operands: readonly (Value | number)[];
  /** The only input. */
  readonly x: Value;
  /** Zeros around the image of a convolution that does not pad itself, in the order of ONNX's pads. */
  readonly border: readonly number[];
  /** How the Keras model sees tensors with four axes. */
  readonly layout: ImageLayout;
  /** Major version of the Keras that wrote the file: some functions changed. */
  readonly version: 2 | 3;
  /** The layer's weights, in the order in which Keras creates them; all that it has. */
  weights(declarations: readonly WeightDeclaration[]): readonly Value[];
  /** The same as bare numbers, for a layer that computes with them. */
  arrays(declarations: readonly WeightDeclaration[]): readonly StoredArray[];
  /** A constant that the configuration gives. */
  constant(shape: readonly number[], numbers: readonly number[]): Value;
  /** Tells the user something, once for equal texts. */
  note(text: string): void;
  fail(code: ErrorCode, message: string, hint?: string): never;
}

/**
 * Builds one layer. Throws E_MODEL_OP for what mttc cannot express, E_MODEL_PARSE for what cannot be right.
 */
export type LayerRule = (call: LayerCall) => Value;
