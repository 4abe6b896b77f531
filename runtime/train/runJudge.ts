// What a run that is about to be trained is judged by, and whether its labels allow that: before anything
// slow is done.
import { MttcError } from "../../compiler/diagnostics.ts";
import type { RunSpec } from "../../compiler/spec/schema.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { type LabelledRows, labelsByTask } from "../labels/classes.ts";
import { countLabelled } from "../labels/taskLabels.ts";
import { GAIN, type Judge, judgeOf } from "./judgement.ts";

/** The keys of a spec about stopping and keeping. */
export type KeepingSpec = Pick<RunSpec, "keep" | "monitor" | "patience">;

/**
 * The judge of a run's epochs; undefined where there are no validation labels. E_CONFIG for a `monitor` that
 * is no figure of these tasks, or that the validation labels have no row of, and for a `patience` or a
 * `monitor` without validation labels.
 */
export function judgeOfRun(
  { monitor, patience }: KeepingSpec,
  val: LabelledRows | undefined,
  tasks: readonly Task[],
): Judge | undefined {
  if (!val) {
    if (patience !== null) throw noLabels("patience");
    if (monitor !== GAIN) throw noLabels("monitor");
    return undefined;
  }
  const judge = judgeOf(monitor, tasks);
  const labels = judge.task === undefined ? undefined : labelsByTask(val).get(judge.task);
  if (labels && countLabelled(labels) === 0)
    throw new MttcError({
      code: "E_CONFIG",
      message: `${judge.name} has no value: no row of the validation labels has a label of "${judge.task}"`,
      at: { path: "monitor" },
    });
  return judge;
}

function noLabels(key: keyof KeepingSpec): MttcError {
  return new MttcError({
    code: "E_CONFIG",
    message: "epochs are compared on validation labels, and there are none",
    at: { path: key },
    hint: "name a table of them in val_labels, or take this line out",
  });
}
