// Dropout in the inference form, as imported graphs hold it; what drops in training is a mask that the host
// draws (runtime/draws/dropoutMasks.ts).
import { defineOp, type Op } from "../ir/op.ts";
import { zerosForOutput } from "./strided.ts";

const Dropout = defineOp("Dropout", {
  doc: "y = x, the inference form; the mask is true everywhere. The layer dropout of a spec drops in training",
  source: "ONNX Dropout-13",
  inputs: ["x", "ratio?", "training_mode?"],
  outputs: ["y", "mask?"],
  attrs: { seed: { kind: "int", default: null } },
  traits: ["scalarParameters"],
  axes: "elementwise",
  precision: "follows",
  hostInputs: [1, 2],
  infer: (ctx) => {
    if (ctx.inputs[2] && ctx.constants[2]?.data[0] !== 0)
      ctx.fail(
        "training_mode is not the constant false: an imported graph is taken in inference form, and what drops " +
          "in training is a layer of the spec; export the model with model.eval()",
      );
    return [ctx.input(0), { dtype: "bool", shape: ctx.input(0).shape }];
  },
  // dx = dy, and 0 for the ratio
  vjp: ({ dy }) => [dy, undefined],
  evaluate: (ctx) => {
    const mask = zerosForOutput(ctx, 1);
    return [ctx.input(0), { ...mask, data: mask.data.fill(1) }];
  },
});

/** Ops of this family. */
export const DROPOUT: readonly Op[] = [Dropout];
