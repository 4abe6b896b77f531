// Training that ran away: a loss, a state or an evaluation that is not finite. It is refused before anything
// of it is saved, so that the newest checkpoint is always finite. In: numbers of a step or an epoch; out:
// E_DIVERGED with the tasks or tensors, and where the last finite numbers lie.
import type { StoredTensor } from "../../compiler/codec/safetensors.ts";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import type { TaskSums } from "../../compiler/tasks/report.ts";
import type { EvaluationReport } from "../infer/evaluationReport.ts";
import { isFiniteTensor } from "../runs/finiteTensors.ts";

const MOST_NAMED = 5;

/** Where the last finite numbers are: the newest checkpoint's folder, where there is one. */
export type LastCheckpoint = string | undefined;

/** What to do about it, for messages; `advice` comes first. */
export function wayBack(last: LastCheckpoint, advice = "lower lr"): string {
  const saved =
    last === undefined
      ? "nothing was saved before"
      : `the last checkpoint, ${last}, is from before and finite: --resume --lr N goes on from it with another rate`;
  return `${advice}; ${saved}`;
}

/** E_DIVERGED for each task whose loss in a step is not finite. */
export function refuseLosses(
  tasks: ReadonlyMap<string, TaskSums>,
  { epoch, step, last }: { readonly epoch: number; readonly step: number; readonly last: LastCheckpoint },
): void {
  throwAny(
    [...tasks]
      .map(([task, { loss_sum: sum = Number.NaN }]) => ({ task, sum }))
      .filter(({ sum }) => !Number.isFinite(sum))
      .map(({ task, sum }) => ({
        message: `the loss became ${sum} in epoch ${epoch}, step ${step}`,
        path: `tasks.${task}`,
      })),
    wayBack(last),
  );
}

/** E_DIVERGED for the tensors of a state, of floats, that hold anything but finite numbers. */
export function refuseState(tensors: readonly StoredTensor[], epoch: number, last: LastCheckpoint): void {
  const names = tensors.filter((tensor) => !isFiniteTensor(tensor)).map(({ name }) => name);
  const found = names.slice(0, MOST_NAMED).map((name, i) => {
    const rest =
      i === MOST_NAMED - 1 && names.length > MOST_NAMED ? ` (and ${names.length - MOST_NAMED} more)` : "";
    return {
      message: `holds numbers that are not finite after the steps of epoch ${epoch}${rest}`,
      path: name,
    };
  });
  throwAny(found, wayBack(last));
}

/** E_DIVERGED for each task that has validation labels and no finite validation loss. */
export function refuseEvaluation({ tasks }: EvaluationReport, epoch: number, last: LastCheckpoint): void {
  throwAny(
    Object.entries(tasks)
      .filter(([, { labelled, loss }]) => labelled > 0 && !Number.isFinite(loss))
      .map(([task, { loss }]) => ({
        message: `the validation loss is ${loss} after epoch ${epoch}`,
        path: `tasks.${task}`,
      })),
    wayBack(last),
  );
}

function throwAny(found: readonly { readonly message: string; readonly path: string }[], hint: string): void {
  const faults = found.map(
    ({ message, path }): Fault => ({ code: "E_DIVERGED", message, at: { path }, hint }),
  );
  if (faults.length > 0) throw new MttcError(faults);
}
