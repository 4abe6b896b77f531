// Names by which ONNX Runtime Training knows what a tensor of its models is: it compares them letter by
// letter (training_api/module.cc, optimizer.cc, utils.h of ONNX Runtime 1.17 to 1.19).

/** Files of a set of artifacts, as onnxruntime.training.artifacts names them. */
export const ARTIFACT_FILES = {
  training: "training_model.onnx",
  evaluation: "eval_model.onnx",
  optimizer: "optimizer_model.onnx",
  checkpoint: "checkpoint",
} as const;

/** Bool [1]: whether gradients of this step replace those of before in place of being added to them. */
export const RESET_FLAG = "lazy_reset_grad";

/** Name of a parameter's gradient. */
export function gradientOf(parameter: string): string {
  return `${parameter}_grad`;
}

/** Input: where gradients of a parameter are summed. */
export function bufferOf(parameter: string): string {
  return `${gradientOf(parameter)}.accumulation.buffer`;
}

/** Output: that they were, bool [1]. */
export function accumulatedOf(parameter: string): string {
  return `${gradientOf(parameter)}.accumulation.out`;
}

/** What an input or output with such an ending is taken for, whatever it is. */
const GRADIENT_ENDINGS = [gradientOf(""), bufferOf(""), accumulatedOf("")];

/** Whether a name would be taken for that of a gradient or of the flag. */
export function isTakenForGradient(name: string): boolean {
  return name === RESET_FLAG || GRADIENT_ENDINGS.some((ending) => name.endsWith(ending));
}

/** Name of the output that is trained, and the first of training and evaluation. */
export const LOSS = "loss";

/** Name of the output that is a task's mean loss. */
export function taskLossName(task: string): string {
  return `${LOSS}/${task}`;
}
