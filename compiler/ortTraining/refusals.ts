// What of a spec ONNX Runtime Training's operators cannot express, each refused by name; and what they do
// otherwise, said as a warning and in the manifest. One optimizer node updates all parameters alike, and
// nothing runs between it and the next step.

import type { Fault, Location } from "../diagnostics.ts";
import { outputName } from "../model/network.ts";
import { labelName } from "../model/objective.ts";
import { FCN, type Parameter, SHARED_LAYERS } from "../model/parameters.ts";
import type { Spec } from "../spec/schema.ts";
import { formatSpecPath, type RuleFault } from "../spec/specRules.ts";
import { layerRate } from "../step/layerRates.ts";
import { OPTIMIZERS } from "../step/optimizers.ts";
import type { Task } from "../tasks/task.ts";
import { isTakenForGradient, taskLossName } from "./artifactNames.ts";

/** Says where a path of the spec stands in its file. */
export type LocateKey = (path: RuleFault["path"]) => Location;

/** Optimizers whose state and arithmetic are those of a node of the runtime's. */
const EXPRESSED: readonly Spec["optimizer"][] = ["adam", "adamw"];

/** All refusals of a spec, in the order of its keys. */
export function ortTrainingFaults(spec: Spec, tasks: readonly Task[], locate: LocateKey): readonly Fault[] {
  const found = [...optimizerFaults(spec), ...nameFaults(spec, tasks)];
  return found.map(({ path, message, hint }) => ({
    ...{ code: "E_CONFIG", message, at: { ...locate(path), path: formatSpecPath(path) } },
    ...(hint === undefined ? {} : { hint }),
  }));
}

function optimizerFaults(spec: Spec): RuleFault[] {
  const faults: RuleFault[] = [];
  const refuse = (path: RuleFault["path"], message: string, hint: string): void => {
    faults.push({ path, message: `${message} [--target ort-training]`, hint });
  };
  const { optimizer, ema, max_task_weight: most, task_weights: weights, one_cycle: cycle, combine } = spec;
  if (!EXPRESSED.includes(optimizer))
    refuse(["optimizer"], `ONNX Runtime Training has no ${optimizer}`, `one of: ${EXPRESSED.join(", ")}`);
  if (!hasOneRate(spec))
    refuse(["layer_lr"], "its optimizer updates all parameters at one rate", "take the line out");
  if (ema > 0) refuse(["ema"], "its optimizer keeps no average of the weights", "take the line out");
  if (combine.method !== "sum" || combine.measure === true)
    refuse(["combine"], "its step goes back once, from the sum of the losses", "take the line out");
  if (most !== null && weights === "adaptive")
    refuse(["max_task_weight"], "its optimizer bounds no weight", "take the line out, or fix task_weights");
  if (cycle === true)
    refuse(
      ["one_cycle"],
      "the length of a run on a device is not known",
      "give the number of steps: one_cycle: 1000, say",
    );
  return faults;
}

/** Whether all trained parts have the same rate, which is the spec's. */
function hasOneRate(spec: Spec): boolean {
  const parts = [...(spec.train_fcn === false ? [] : [FCN]), SHARED_LAYERS, "tasks"];
  return parts.every((part) => layerRate(spec, { part, role: "kernel" }) === 1);
}

/** Names that the runtime would take for those of gradients. */
function nameFaults(spec: Pick<Spec, "tasks">, tasks: readonly Task[]): RuleFault[] {
  return tasks.flatMap((task) => {
    const { name, served } = task;
    const names = [labelName(name), taskLossName(name), outputName(task, served.name)];
    const taken = names.find(isTakenForGradient);
    if (taken === undefined) return [];
    const message = `ONNX Runtime Training would take "${taken}" for a gradient by its ending`;
    const hint = "give the column another name";
    return [
      { path: ["tasks", spec.tasks.indexOf(name)], message: `${message} [--target ort-training]`, hint },
    ];
  });
}

/** Refusals that only the network shows: names of tensors of a model file. */
export function parameterFaults(parameters: readonly Parameter[], locate: LocateKey): readonly Fault[] {
  return parameters
    .filter(({ name, trained }) => trained && isTakenForGradient(name))
    .map(({ name }) => ({
      code: "E_CONFIG",
      message: `ONNX Runtime Training would take the tensor "${name}" for a gradient by its ending`,
      at: { ...locate(["fcn"]), path: "fcn" },
      hint: "rename it in the model file, or leave it frozen: train_fcn: false",
    }));
}

/** What is done otherwise than `mttc train` does it, one sentence each. */
export function ortTrainingDifferences(spec: Spec): readonly string[] {
  const { optimizer, weight_decay: decay, accumulate, task_weights: weights } = spec;
  const isDecoupled = OPTIMIZERS[optimizer].decay === "decoupled";
  const fromLayers = [spec.shared_layers, spec.task_layers, "layers" in spec.fcn ? spec.fcn.layers : []];
  return [
    ...(isDecoupled && decay > 0
      ? [
          "weight_decay: ONNX Runtime's AdamW decays every trained tensor, after the update; mttc train kernels " +
            "alone, before it (optimizer: adam has a penalty on kernels alone in both)",
        ]
      : []),
    ...(accumulate > 1
      ? [
          `accumulate: a step of the optimizer after ${accumulate} steps of training takes the mean of their ` +
            "gradients; mttc train counts labels over the whole batch, which differs where labels are missing",
        ]
      : []),
    ...(weights === "adaptive"
      ? [
          "task_weights: a task without a label in a batch leaves its weight's moments as they decay; mttc train " +
            "leaves the weight alone",
        ]
      : []),
    ...(fromLayers.some((layers) => layers.includes("d"))
      ? ["dropout: masks are drawn by ONNX Runtime, by its own seed, not by the spec's"]
      : []),
  ];
}
