// What the example trains: one network for red and blue with several methods and task weights, and a larger
// one at several learning rates. In: specs; out: losses on the validation images, epoch by epoch.
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec, SpecInput } from "../../compiler/spec/schema.ts";
import { experimentFromSpec } from "../../runtime/train/experiment.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";

/** The loss of red and that of blue. */
export type Losses = readonly [red: number, blue: number];

/** A run by its name, and its losses after each epoch; NaN of a task that it has not. */
export interface ConflictRun {
  readonly name: string;
  readonly path: readonly Losses[];
  /** Share of all steps in which the two gradients pull apart; undefined where they were not compared. */
  readonly conflict: number | undefined;
}

/** A run that is to be trained. */
export interface PlannedRun {
  readonly name: string;
  /** What it changes in the spec. */
  readonly changes: Partial<SpecInput>;
}

const SUM = { method: "sum", measure: true } as const;
/** What makes a spec of both tasks one of this task. */
function alone(task: string): Partial<SpecInput> {
  return { tasks: [task], task_kinds: { [task]: { kind: "number" } }, task_weights: null, combine: "sum" };
}

/**
 * The runs of the first network by name, and what they change in the spec. The spec's rate is that of methods
 * near the mean of the gradients; their sum is twice as long, so its rate is half.
 */
export function fightingRuns(spec: Spec): PlannedRun[] {
  const lr = spec.lr / 2;
  return [
    { name: "red alone", changes: { ...alone("red"), lr } },
    { name: "blue alone", changes: { ...alone("blue"), lr } },
    { name: "sum 3:1", changes: { combine: SUM, lr } },
    { name: "sum 1:1", changes: { combine: SUM, task_weights: null, lr } },
    { name: "sum 1:3", changes: { combine: SUM, task_weights: { red: 1, blue: 3 }, lr } },
    { name: "adaptive", changes: { combine: SUM, task_weights: "adaptive", lr } },
    { name: "upgrad 3:1", changes: { combine: "upgrad" } },
    { name: "mgda 3:1", changes: { combine: "mgda" } },
    { name: "cagrad 3:1", changes: { combine: "cagrad" } },
    { name: "famo", changes: { combine: "famo", task_weights: null } },
  ];
}

/** What the second network is trained with, each at each rate, from each seed. */
export const BOTH_FIT = {
  methods: [
    { name: "sum", changes: { combine: "sum" } },
    { name: "sum 1:1", changes: { combine: "sum", task_weights: null } },
    { name: "upgrad", changes: { combine: "upgrad" } },
    { name: "imtl", changes: { combine: "imtl" } },
  ],
  rates: [0.002, 0.004, 0.008, 0.016],
  seeds: [2, 4, 5],
} as const;
/** Both losses are below it: both tasks are learned. */
export const LEARNED = 0.1;
/** Epochs between two looks at whether both are learned: no more is asked of a run. */
const LOOK = 25;

/** Runs that are trained at the same time. */
const AT_ONCE = 3;

/**
 * Trains the spec of `file` with the changes of each run, a few at a time; nothing is written. Rejects with
 * what training says, E_INTERRUPTED where `signal` aborts.
 */
export async function trainRuns(
  planned: readonly PlannedRun[],
  spec: Spec,
  file: string,
  signal: AbortSignal,
): Promise<ConflictRun[]> {
  const runs: ConflictRun[] = [];
  for (let i = 0; i < planned.length; i += AT_ONCE) {
    const some = planned.slice(i, i + AT_ONCE).map((run) => trainRun(run, spec, file, signal));
    // All have ended before the first fault is told.
    await Promise.allSettled(some);
    runs.push(...(await Promise.all(some)));
  }
  return runs;
}

async function trainRun(
  { name, changes }: PlannedRun,
  spec: Spec,
  file: string,
  signal: AbortSignal,
): Promise<ConflictRun> {
  const changed = resolveSpec({ ...spec, ...changes, logdir: null } as SpecInput);
  await using trainer = new MultiTaskTrainer(experimentFromSpec(changed, file));
  const path: Losses[] = [];
  const shares: number[] = [];
  trainer.on("epoch", ({ evaluation, scalars = {} }) => {
    const lossOf = (task: string): number => evaluation?.tasks[task]?.loss ?? Number.NaN;
    path.push([lossOf("red"), lossOf("blue")]);
    shares.push(scalars["conflict/red/blue"] ?? Number.NaN);
  });
  while (path.length < changed.epochs && learnedAfter(path) === undefined)
    await trainer.fit(Math.min(path.length + LOOK, changed.epochs), { signal });
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  return { name, path, conflict: Number.isNaN(mean) ? undefined : mean };
}

/** The first epoch after which both are learned. */
export function learnedAfter(path: readonly Losses[]): number | undefined {
  const at = path.findIndex((losses) => losses.every((loss) => loss < LEARNED));
  return at < 0 ? undefined : at + 1;
}

/** How far a run's losses moved in the last fifth of its epochs, the larger of the two. */
export function lastMove(path: readonly Losses[]): number {
  const late = path.slice(-Math.max(1, Math.ceil(path.length / 5)));
  const spans = [0, 1].map((task) => {
    const losses = late.map((each) => each[task as 0 | 1]).filter((loss) => !Number.isNaN(loss));
    return Math.max(...losses) - Math.min(...losses);
  });
  return Math.max(...spans.filter(Number.isFinite));
}
