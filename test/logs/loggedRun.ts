// A run as its logs see it, without training: reports of made-up epochs and steps of two tasks.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import type { EpochReport, StepEvent } from "../../runtime/logs/reports.ts";
import { type LoggedRun, RunLogs } from "../../runtime/logs/runLogs.ts";

export const STEPS = 4;
export const TASKS = [
  openTask({ task: "species", classes: ["cat", "dog"] }),
  openTask({ task: "größe (m)", kind: "number", mean: [1], deviation: [2], loss: "l2" }),
];
export const WEIGHTS = new Map(TASKS.map(({ name }) => [name, 1]));
const NAMES = TASKS.map(({ name }) => name);

/** A folder that a run is logged to, and what was said of it. */
export class LoggedFolder implements Disposable {
  readonly directory = join(mkdtempSync(join(tmpdir(), "mttc-logs-")), "first");
  readonly said: string[] = [];
  readonly history: EpochReport[] = [];
  readonly environment: Record<string, string> = {};
  begun: LoggedRun["begun"] = { step: 0, sums: {} };

  constructor() {
    mkdirSync(this.directory);
    writeFileSync(join(this.directory, "spec.yml"), "# a spec\n");
  }

  [Symbol.dispose](): void {
    rmSync(join(this.directory, ".."), { recursive: true, force: true });
  }

  async open(spec: Partial<SpecInput>): Promise<RunLogs> {
    const { directory, history, begun, environment } = this;
    const resolved = resolveSpec({
      ...{ tasks: NAMES, fcn: { layers: [4] }, logdir: directory, log_every: 2, notes: "**first** try" },
      task_kinds: { "größe (m)": { kind: "number" } },
      ...spec,
    });
    const tell = (message: string): void => void this.said.push(message);
    return await RunLogs.open(
      { directory, spec: resolved, tasks: TASKS, weights: WEIGHTS, history, begun },
      { tell, environment, paceMs: 5 },
    );
  }

  /** Trains the next epoch, as far as logs are told; up to step `until` alone of one that is not finished. */
  train(logs: RunLogs, until = STEPS, beforeReport: () => void = () => undefined): void {
    const epoch = this.history.length + 1;
    for (let step = this.begun.step + 1; step <= until; step++) logs.step(stepEvent(epoch, step));
    this.begun = { step: 0, sums: {} };
    if (until < STEPS) return;
    beforeReport();
    const report = epochReport(epoch);
    this.history.push(report);
    logs.epoch(report);
  }
}

/** Sums of an epoch after `step` steps: a step's loss is 1 / its number in the run. */
function sumsAfter(epoch: number, step: number): StepEvent["sums"] {
  let [loss, rows] = [0, 0];
  for (let one = 1; one <= step; one++) {
    loss += 8 / ((epoch - 1) * STEPS + one);
    rows += 8;
  }
  const sums = { loss_sum: loss, count: rows, correct: rows / 2, absolute_error: rows };
  return Object.fromEntries(NAMES.map((name) => [name, sums]));
}

export function stepEvent(epoch: number, step: number): StepEvent {
  const sums = sumsAfter(epoch, step);
  return {
    ...{ epoch, step, steps: STEPS, sums, losses: {}, imagesPerSecond: 100, learningRate: 0.5 ** epoch },
  };
}

export function epochReport(epoch: number): EpochReport {
  const of = (value: number) => Object.fromEntries(NAMES.map((name) => [name, value]));
  const classes = { labelled: 8, loss: 2 / epoch, accuracy: 1 - 1 / epoch, majority: 0.5 };
  const numbers = { labelled: 8, loss: 1, mae: 1 / epoch, meanMae: 1, rmse: 1, meanRmse: 1, r2: Number.NaN };
  return {
    ...{ epoch, steps: STEPS, seconds: 2, waitShare: 0.25, time: 1_700_000_000_000 + epoch },
    ...{ trainLoss: of(1 / epoch), trainAccuracy: { species: 0.75 }, taskWeights: of(1) },
    scalars: { lr: 0.5 ** epoch },
    evaluation: {
      images: 8,
      tasks: { species: { ...classes, macroRecall: 0.7, majorityRecall: 0.5 }, "größe (m)": numbers },
    },
  };
}
