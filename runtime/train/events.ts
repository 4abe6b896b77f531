// What a trainer tells while it works: typed events, and the reports they carry.
import type { EvaluationReport } from "../infer/evaluationReport.ts";

/** After each step; losses are masked means over the epoch so far, NaN before a task's first label. */
export interface StepEvent {
  readonly epoch: number;
  readonly step: number;
  readonly steps: number;
  readonly losses: Readonly<Record<string, number>>;
  readonly imagesPerSecond: number;
}

/** One finished epoch; the first is 1. */
export interface EpochReport {
  readonly epoch: number;
  readonly steps: number;
  readonly seconds: number;
  /** Masked mean of the cross-entropy per task over the epoch's labelled rows. */
  readonly trainLoss: Readonly<Record<string, number>>;
  readonly trainAccuracy: Readonly<Record<string, number>>;
  /** Weight of each task's loss at the end of the epoch: exp(-s) where it is learned. */
  readonly taskWeights: Readonly<Record<string, number>>;
  /** Share of the time in which the device had nothing to do but wait for its next images. */
  readonly waitShare: number;
  readonly evaluation?: EvaluationReport;
}

export interface TrainerEvents {
  log: { readonly message: string };
  step: StepEvent;
  epoch: EpochReport;
  checkpoint: { readonly path: string };
}

type Listener<K extends keyof TrainerEvents> = (event: TrainerEvents[K]) => void;

export class EventHub {
  readonly #listeners = new Map<keyof TrainerEvents, Set<(event: never) => void>>();

  /** Adds a listener; the returned function removes it. */
  on<K extends keyof TrainerEvents>(event: K, listener: Listener<K>): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  emit<K extends keyof TrainerEvents>(event: K, value: TrainerEvents[K]): void {
    for (const listener of this.#listeners.get(event) ?? []) (listener as Listener<K>)(value);
  }
}
