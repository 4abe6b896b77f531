// What a trainer tells while it works: typed events, and the reports they carry.
import { suggestName } from "../../compiler/diagnostics.ts";
import type { EmbeddingEvent, EpochReport, PictureEvent, StepEvent } from "../logs/reports.ts";
import { shownValue, usageError } from "./trainerCalls.ts";

export type { EmbeddingEvent, EpochReport, PictureEvent, StepEvent } from "../logs/reports.ts";

/** Work before the first step, now and then: `done` of `total` images, say. */
export interface ProgressEvent {
  readonly work: string;
  readonly done: number;
  readonly total: number;
}

export interface TrainerEvents {
  log: { readonly message: string };
  progress: ProgressEvent;
  step: StepEvent;
  epoch: EpochReport;
  picture: PictureEvent;
  embedding: EmbeddingEvent;
  checkpoint: { readonly path: string };
}

const EVENT_NAMES = [
  "log",
  "progress",
  "step",
  "epoch",
  "picture",
  "embedding",
  "checkpoint",
] as const satisfies (keyof TrainerEvents)[];

/** Between two events of progress, at least. */
const PROGRESS_MS = 100;

type Listener<K extends keyof TrainerEvents> = (event: TrainerEvents[K]) => void;

export class EventHub {
  readonly #listeners = new Map<keyof TrainerEvents, Set<(event: never) => void>>();
  readonly #recorders = new Set<(message: string) => void>();

  /** Adds a listener; the returned function removes it. E_USAGE for an event that there is not. */
  on<K extends keyof TrainerEvents>(event: K, listener: Listener<K>): () => void {
    if (!EVENT_NAMES.some((name) => name === event))
      throw usageError(`there is no event ${shownValue(event)}`, suggestName(String(event), EVENT_NAMES));
    if (typeof listener !== "function")
      throw usageError(`expected a function that listens to "${event}", found ${shownValue(listener)}`);
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /**
   * Has everything that is logged recorded; whoever records counts for no listener. Returns what ends it.
   */
  record(recorder: (message: string) => void): () => void {
    this.#recorders.add(recorder);
    return () => this.#recorders.delete(recorder);
  }

  /** Whether anybody listens to an event. */
  has(event: keyof TrainerEvents): boolean {
    return (this.#listeners.get(event)?.size ?? 0) > 0;
  }

  /** Passes progress of `work` on as events; undefined where nobody listens. */
  progressOf(work: string): ((done: number, total: number) => void) | undefined {
    if (!this.has("progress")) return undefined;
    let toldAt = -Infinity;
    return (done, total) => {
      if (done < total && performance.now() - toldAt < PROGRESS_MS) return;
      toldAt = performance.now();
      this.emit("progress", { work, done, total });
    };
  }

  /** Tells all listeners; returns whether there is any. */
  emit<K extends keyof TrainerEvents>(event: K, value: TrainerEvents[K]): boolean {
    const isHeard = this.has(event);
    for (const listener of this.#listeners.get(event) ?? []) (listener as Listener<K>)(value);
    if (event === "log" && "message" in value) for (const record of this.#recorders) record(value.message);
    return isHeard;
  }
}
