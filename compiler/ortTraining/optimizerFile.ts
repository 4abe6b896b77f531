// optimizer_model.onnx: one node of the runtime's that updates all parameters at once, and around it what the
// spec says of the rate and of the norm of the gradient. Inputs have the names and the order that
// training_api/optimizer.cc asks for.
import { modelOfGraph } from "../codec/encodeGraph.ts";
import type { AttributeProto, ValueInfoProto } from "../codec/onnxSchema.ts";
import { encodeModelProto } from "../codec/protobuf.ts";
import { ONNX_DTYPES } from "../codec/tensorBytes.ts";
import { finishGraph } from "../lower/finishGraph.ts";
import type { Spec } from "../spec/schema.ts";
import { ADAM } from "../step/optimizers.ts";
import { buildRateGraph } from "./rateGraph.ts";
import { declared, plainModel, runtimeNode } from "./trainingFile.ts";

const SEQUENCES = ["params", "gradients", "first_order_moments", "second_order_moments"];
const CLIPPED = "clipped_gradients";
const RATE = "rate";
/** True, by which the runtime counts the step. */
const UPDATED = "updated";

/** Attributes of AdamWOptimizer, as its schema names them. */
export function adamAttributes({ optimizer, weight_decay: decay }: Pick<Spec, "optimizer" | "weight_decay">) {
  return {
    alpha: ADAM.beta1,
    beta: ADAM.beta2,
    epsilon: ADAM.epsilon,
    // adam's decay is a part of the gradient.
    weight_decay: optimizer === "adamw" ? decay : 0,
    // Epsilon beside the root of the uncorrected second moment, as Keras has it; decay after the update.
    adam_mode: 1,
    correct_bias: 1,
  };
}

/** The bytes of optimizer_model.onnx. */
export function encodeOptimizerFile(spec: Spec): Uint8Array {
  const { graph: rate } = modelOfGraph(finishGraph(buildRateGraph(spec, RATE)));
  const { clip_norm: most } = spec;
  const gradients = most === null ? "gradients" : CLIPPED;
  const inputs = [RATE, "step", "params", gradients, "first_order_moments", "second_order_moments"];
  const floats = new Set(["alpha", "beta", "epsilon", "weight_decay"]);
  const attributes = Object.entries(adamAttributes(spec)).map(
    ([name, value]): AttributeProto =>
      floats.has(name) ? { name, type: 1, f: value } : { name, type: 2, i: value },
  );
  const clip =
    most === null
      ? []
      : [
          runtimeNode(
            "InplaceClipGradNorm",
            ["gradients"],
            [CLIPPED],
            [{ name: "max_norm", type: 1, f: most }],
          ),
        ];
  return encodeModelProto(
    plainModel({
      ...rate,
      name: "optimizer",
      input: [
        declared("learning_rate", "float32", [1]),
        declared("step", "int64", [1]),
        ...SEQUENCES.map(sequence),
      ],
      output: [declared(UPDATED, "bool", [1])],
      node: [...rate.node, ...clip, runtimeNode("AdamWOptimizer", inputs, [UPDATED], attributes)],
    }),
  );
}

function sequence(name: string): ValueInfoProto {
  return { name, type: { sequenceType: { elemType: { tensorType: { elemType: ONNX_DTYPES.float32 } } } } };
}
