// Factors of the learning rate by part of the network (`layer_lr`).
import { FCN, type Parameter, SHARED_LAYERS } from "../model/parameters.ts";
import type { StepSpec } from "../spec/schema.ts";

/**
 * The factor of a parameter's learning rate (decoupled weight decay goes by that rate, too). An adaptive
 * weight is no layer: 1.
 */
export function layerRate(
  { layer_lr: rates }: Pick<StepSpec, "layer_lr">,
  { part, role }: Pick<Parameter, "part" | "role">,
): number {
  if (role === "log_variance") return 1;
  if (typeof rates === "number") return part === FCN ? rates : 1;
  if (part === FCN) return rates.fcn;
  return part === SHARED_LAYERS ? rates.shared_layers : rates.task_layers;
}
