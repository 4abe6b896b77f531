// The report of a finished epoch: sums over its steps, the weights of the tasks, and its evaluation.
import type { EvaluationReport } from "../infer/evaluationReport.ts";
import { type EpochState, meanLosses } from "./epochLoop.ts";
import type { EpochReport } from "./events.ts";
import type { TrainingSession } from "./trainingSession.ts";

export interface FinishedEpoch {
  readonly epoch: number;
  readonly state: EpochState;
  readonly evaluation: EvaluationReport | undefined;
}

/** Reads the learned weights of the tasks from the device. */
export async function epochReport(
  session: TrainingSession,
  { epoch, state, evaluation }: FinishedEpoch,
): Promise<EpochReport> {
  const logVariances = await session.device.readState((entry) => entry.group === "log_variance");
  const weights = session.manifest.tasks.map(({ name, weight }) => {
    const s = logVariances.get(`tasks.${name}.log_variance`)?.data[0];
    return [name, weight === "adaptive" ? Math.exp(-Number(s)) : weight] as const;
  });
  const sums = Object.entries(state.sums);
  return {
    epoch,
    steps: state.step,
    seconds: state.seconds,
    trainLoss: meanLosses(sums),
    trainAccuracy: Object.fromEntries(sums.map(([task, { correct, count }]) => [task, correct / count])),
    taskWeights: Object.fromEntries(weights),
    waitShare: state.seconds > 0 ? state.waitedSeconds / state.seconds : 0,
    ...(evaluation ? { evaluation } : {}),
  };
}
