// What is legal in a spec but probably not meant: found from the spec alone, before any data is read.
import { combineTraits } from "../combine/combiners.ts";
import type { LayerEntry, Spec } from "./schema.ts";
import { placeLayers } from "./specRules.ts";

/** Whether a list of layers holds anything that is trained. */
function hasWeights(layers: readonly LayerEntry[]): boolean {
  return layers.some((entry) => typeof entry === "number" || entry === "r");
}

/**
 * What is legal but probably not meant, one sentence each, from the spec and the number of processes alone:
 * frozen random weights, tasks that share nothing, weights without effect.
 */
export function specWarnings(spec: Spec, ranks = 1): string[] {
  const warnings: string[] = [];
  const sharesTraining = spec.train_fcn !== false || hasWeights(spec.shared_layers);
  const placed = placeLayers(spec);
  if (!spec.train_fcn && "layers" in spec.fcn && hasWeights(spec.fcn.layers)) {
    warnings.push(
      "fcn: frozen (train_fcn: false) with random initial weights; set train_fcn: true to train it",
    );
  }
  if (!sharesTraining) {
    warnings.push(
      "shared_layers: with a frozen fcn and no shared layers the tasks learn nothing from each other",
    );
  }
  if (spec.task_weights === "adaptive" && spec.tasks.length === 1) {
    warnings.push("task_weights: adaptive weights of a single task only rescale its learning rate");
  } else if (spec.task_weights === "adaptive" && !sharesTraining) {
    warnings.push(
      "task_weights: nothing trained is shared, so adaptive weights can only rescale the heads' learning rates",
    );
  }
  if (spec.combine.method !== "sum" && (spec.tasks.length === 1 || !sharesTraining)) {
    const why = spec.tasks.length === 1 ? "there is a single task" : "nothing trained is shared";
    const rescales = spec.tasks.length > 1 && combineTraits(spec.combine).weighsLosses;
    const what = rescales ? "can only rescale the heads' learning rates" : "is sum";
    warnings.push(`combine: ${why}, so ${spec.combine.method} ${what}`);
  }
  if (Array.isArray(spec.task_weights)) {
    for (const [index, weight] of spec.task_weights.entries()) {
      if (weight === 0) warnings.push(`task_weights[${index}]: task "${spec.tasks[index]}" is not trained`);
    }
    const given = new Set(spec.task_weights.filter((weight) => weight !== 0));
    if (given.size > 1 && sharesTraining && combineTraits(spec.combine).ignoresFixedWeights)
      warnings.push(
        `task_weights: ${spec.combine.method} makes one direction of the gradients' directions, ` +
          "so fixed weights do not turn it; they count in the heads",
      );
  }
  warnings.push(...steeringWarnings(spec));
  warnings.push(...normWarnings(spec, ranks));
  if (spec.augment && spec.augment.gaussian_blur !== undefined && spec.imshape[0] < 20) {
    warnings.push(
      `augment.gaussian_blur: does nothing to images ${spec.imshape[0]} pixels high; it takes 20`,
    );
  }
  if (spec.dropout_rate === 0 && placed.some(({ entry }) => entry === "d")) {
    warnings.push('dropout_rate: 0, so the "d" layers do nothing');
  }
  return warnings;
}

/** Batch norms that see less than the whole batch, and a word about them where there are none. */
function normWarnings(spec: Spec, ranks: number): string[] {
  const { batch_size: batch, accumulate, sync_batchnorm: syncs } = spec;
  if (!syncs && !trainsNorms(spec)) return ["sync_batchnorm: false does nothing: no batch norm is trained"];
  const rows = batch / accumulate;
  if (trainsNorms(spec) && ranks > 1 && !syncs)
    return [`sync_batchnorm: batch norm of each process sees ${rows / ranks} images, not the whole batch`];
  if (spec.batchnorm && accumulate > 1)
    return [`accumulate: batch norm sees micro-batches of ${rows} images, not the whole batch`];
  return [];
}

/** Whether any batch norm may take its moments from the batch. */
function trainsNorms({ batchnorm, fcn, train_fcn }: Spec): boolean {
  return batchnorm || ("path" in fcn && fcn.batchnorm === "train" && train_fcn !== false);
}

/** A learning rate of lars below this hardly moves anything. */
const LEAST_LARS_RATE = 0.01;

/** Keys that steer the optimizer, where there is nothing for them to steer. */
function steeringWarnings(spec: Spec): string[] {
  const { decay_type: type, layer_lr: rates, max_task_weight: most, lr } = spec;
  const warnings: string[] = [];
  if (spec.lr_decay === 0 && type !== "exponential")
    warnings.push(`decay_type: ${type} does nothing while lr_decay is 0`);
  if (spec.optimizer === "lars" && lr < LEAST_LARS_RATE)
    warnings.push(
      `lr: with lars a step moves a kernel by lr / 1000 of its norm, here ${lr / 1000}; usual rates are near 1`,
    );
  const ofFcn = typeof rates === "number" ? rates : rates.fcn;
  if (spec.train_fcn === false && ofFcn !== 1)
    warnings.push(`layer_lr: the fcn is frozen, so its factor ${ofFcn} does nothing`);
  if (typeof rates !== "number" && rates.shared_layers !== 1 && !hasWeights(spec.shared_layers))
    warnings.push(
      `layer_lr.shared_layers: no shared layer is trained, so ${rates.shared_layers} does nothing`,
    );
  if (most !== null && spec.task_weights !== "adaptive")
    warnings.push(`max_task_weight: ${most} does nothing, since task_weights are not adaptive`);
  return warnings;
}
