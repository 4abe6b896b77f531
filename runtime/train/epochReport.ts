// The report of a finished epoch: sums over its steps, the weights of the tasks, and its evaluation.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { taskOfEntry } from "../../compiler/bundle/manifestTasks.ts";
import { logVariance } from "../../compiler/model/objective.ts";
import type { StepSpec } from "../../compiler/spec/schema.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { EvaluationReport } from "../infer/evaluationReport.ts";
import { lossScalars } from "../logs/lossTotals.ts";
import { type EpochState, meanLosses } from "./epochLoop.ts";
import type { EpochReport } from "./events.ts";
import { gainScalars } from "./judgement.ts";
import type { StateOfRun } from "./progress.ts";

export interface FinishedEpoch {
  readonly epoch: number;
  readonly state: EpochState;
  readonly evaluation: EvaluationReport | undefined;
  readonly scalars: Readonly<Record<string, number>>;
  readonly spec: Pick<StepSpec, "batch_size" | "distill_weight">;
}

/** Reads the learned weights of the tasks from the device. */
export async function epochReport(
  { device, manifest }: StateOfRun & { readonly manifest: Pick<Manifest, "tasks"> },
  { epoch, state, evaluation, scalars, spec }: FinishedEpoch,
): Promise<EpochReport> {
  const logVariances = await device.readState((entry) => entry.group === "log_variance");
  const entries = manifest.tasks.map((entry) => ({ ...taskOfEntry(entry), weight: entry.weight }));
  const weights = entries.map(({ name, certainty = 1, weight }) => {
    const s = logVariances.get(logVariance(name).name)?.data[0];
    return [name, weight === "adaptive" ? certainty * Math.exp(-Number(s)) : weight] as const;
  });
  const sums = Object.entries(state.sums);
  const taskWeights = Object.fromEntries(weights);
  const totals = lossScalars(state.sums, taskWeights, state.step * spec.batch_size, {
    tasks: entries,
    isAdaptive: entries.some(({ weight }) => weight === "adaptive"),
    distillWeight: spec.distill_weight,
  });
  const { accuracies, others } = trainingFigures(entries, state);
  return {
    epoch,
    steps: state.step,
    seconds: state.seconds,
    trainLoss: meanLosses(sums),
    trainAccuracy: accuracies,
    ...(Object.keys(others).length > 0 ? { trainFigures: others } : {}),
    taskWeights,
    waitShare: state.seconds > 0 ? state.waitedSeconds / state.seconds : 0,
    scalars: { ...scalars, ...totals, ...gainScalars(evaluation, entries) },
    ...(evaluation ? { evaluation } : {}),
    time: Date.now(),
  };
}

/** Of the tasks that have sums: accuracies by task, and the other figures of training by task and name. */
function trainingFigures(
  tasks: readonly Task[],
  { sums }: EpochState,
): {
  readonly accuracies: Record<string, number>;
  readonly others: Record<string, Record<string, number>>;
} {
  const accuracies: Record<string, number> = {};
  const others: Record<string, Record<string, number>> = {};
  for (const { name, reports } of tasks) {
    const ofTask = sums[name];
    for (const figure of ofTask ? (reports.training ?? []) : []) {
      const value = figure.of(ofTask ?? {});
      if (figure.name === "accuracy") accuracies[name] = value;
      else others[name] = { ...others[name], [figure.name]: value };
    }
  }
  return { accuracies, others };
}
