// The learned weights of tasks, exp(-s), looked at between steps. The weight of a solved task grows without
// end: its loss no longer holds it. At 1e18 squares of its gradients are near float32's end, from where on
// nothing of the run is safe, the other tasks included. Reading s costs a call to the device, so it is read
// when it could have come near, not after each step.
import { MttcError } from "../../compiler/diagnostics.ts";
import { type LastCheckpoint, wayBack } from "./divergence.ts";
import type { TrainingDevice } from "./trainingDevice.ts";

/** A weight beyond this is told of: the other tasks' gradients begin to drown. */
const TOLD_WEIGHT = 20;
const LARGEST_WEIGHT = 1e18;
/**
 * The derivative of e^-s L + s/2 is at most 1/2, so that in a step s falls by 5 lr at most (momentum 0.9:
 * 1/2 / (1 - 0.9); adam: (1 - 0.9) / sqrt(1 - 0.999) = 3.2 in the worst case).
 */
const LARGEST_FALL = 5;
/** A weight that stays near 20 is not looked at in every step. */
const STEPS_BETWEEN = 16;

/** Where a run stands when the watch is asked. */
export interface WatchedStep {
  readonly epoch: number;
  readonly step: number;
  readonly last: LastCheckpoint;
}

/** Watches the adaptive weights of one run. */
export class WeightWatch {
  readonly #tasks: readonly string[];
  readonly #learningRate: number;
  readonly #log: (message: string) => void;
  readonly #bound: number | null;
  readonly #told = new Set<string>();
  #stepsLeft = 1;

  /**
   * `tasks` are those whose weight is learned, up to `bound` (null: without end); `log` is told of each whose
   * weight passes 20, once.
   */
  constructor(
    tasks: readonly string[],
    learningRate: number,
    log: (message: string) => void,
    bound: number | null = null,
  ) {
    this.#tasks = tasks;
    this.#bound = bound;
    this.#learningRate = learningRate;
    this.#log = log;
  }

  /** After each step. E_DIVERGED for a task whose weight passes 1e18. */
  async afterStep(device: Pick<TrainingDevice, "readState">, at: WatchedStep): Promise<void> {
    if (this.#tasks.length === 0 || --this.#stepsLeft > 0) return;
    await this.look(device, at);
  }

  /** Looks at all weights now. */
  async look(device: Pick<TrainingDevice, "readState">, at: WatchedStep): Promise<void> {
    if (this.#tasks.length === 0) return;
    const state = await device.readState(({ group }) => group === "log_variance");
    // How far the nearest weights are from either bound, in s.
    let [toTold, toLargest] = [Infinity, Infinity];
    for (const task of this.#tasks) {
      const s = Number(state.get(`tasks.${task}.log_variance`)?.data[0] ?? Number.NaN);
      const weight = Math.exp(-s);
      if (!(weight < LARGEST_WEIGHT)) throw overflow(task, weight, at);
      if (weight > TOLD_WEIGHT && !this.#told.has(task)) {
        this.#told.add(task);
        this.#log(warning(task, weight, at, this.#bound));
      }
      if (!this.#told.has(task)) toTold = Math.min(toTold, s + Math.log(TOLD_WEIGHT));
      toLargest = Math.min(toLargest, s + Math.log(LARGEST_WEIGHT));
    }
    const stepsOf = (distance: number): number => Math.floor(distance / (LARGEST_FALL * this.#learningRate));
    this.#stepsLeft = Math.max(1, Math.min(stepsOf(toLargest), Math.max(STEPS_BETWEEN, stepsOf(toTold))));
  }
}

function warning(task: string, weight: number, { epoch, step }: WatchedStep, bound: number | null): string {
  const grown = `task "${task}": its learned weight is ${weight.toFixed(1)} (epoch ${epoch}, step ${step})`;
  const drowned = "the other tasks count for less and less";
  if (bound !== null) return `${grown} and grows up to max_task_weight, ${bound}; until then ${drowned}`;
  const ways = `max_task_weight: ${TOLD_WEIGHT} holds it there, fixed numbers in task_weights end it`;
  return `${grown} and grows as long as its loss falls; ${drowned} (${ways})`;
}

function overflow(task: string, weight: number, { epoch, step, last }: WatchedStep): MttcError {
  const advice =
    "bound it (max_task_weight), give task_weights fixed numbers, lower lr, or end at an earlier epoch (--epochs)";
  return new MttcError({
    code: "E_DIVERGED",
    message: `the task's learned weight became ${weight.toExponential(1)} in epoch ${epoch}, step ${step}`,
    at: { path: `tasks.${task}` },
    hint: wayBack(last, advice),
  });
}
