// What a sink of a run's figures is: one place beside the run's own log that is told of it. A sink is one
// file (tensorboardSink.ts, mlflowSink.ts) and a line of sinkTable.ts; whoever calls it keeps the order,
// tries again what fails and remembers how far it came, so that a sink only writes and throws.
import type { Spec } from "../../compiler/spec/schema.ts";
import type { Scalars } from "./scalars.ts";

/** What a sink is told of the run when it opens. */
export interface RunFacts {
  /** The run's folder, absolute; its last part is the run's name. */
  readonly directory: string;
  readonly name: string;
  readonly spec: Spec;
  /** What decides the training, flat, by name. */
  readonly hyperparameters: Hyperparameters;
  /** Texts to be shown, in Markdown: notes, the spec. */
  readonly texts: readonly { readonly name: string; readonly text: string }[];
  /** When the run, or its part that begins now, was started: milliseconds since 1970. */
  readonly startedAt: number;
}

export type Hyperparameters = Readonly<Record<string, string | number | boolean>>;

/** When something happened: in which epoch, after how many steps of the whole run, at what time. */
export interface Moment {
  readonly epoch: number;
  /** Steps of the optimizer since the run began. */
  readonly at: number;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** Figures over the steps since the last entry. */
export interface StepRecord extends Moment {
  readonly kind: "step";
  readonly scalars: Scalars;
}
/** Figures of a finished epoch. */
export interface EpochRecord extends Moment {
  readonly kind: "epoch";
  readonly scalars: Scalars;
}
/** A picture, kept as a PNG at `file` in the run's folder. */
export interface PictureRecord extends Moment {
  readonly kind: "picture";
  readonly name: string;
  readonly file: string;
}
/** Vectors of images, kept at `folder` in the run's folder: tensors.tsv, metadata.tsv, sprite.png. */
export interface EmbeddingRecord extends Moment {
  readonly kind: "embedding";
  readonly name: string;
  readonly folder: string;
  /** Rows and numbers of a row. */
  readonly shape: readonly [number, number];
  /** Side in pixels of each image in the sprite, where there is one. */
  readonly spriteSide?: number | undefined;
}
/** What happens within epochs and is kept in events.jsonl. */
export type RunEvent = StepRecord | PictureRecord | EmbeddingRecord;
export type LogRecord = RunEvent | EpochRecord;

/** Where training begins now: epochs finished, steps taken in all; 0 and 0 of a fresh run. */
export interface StartPlace {
  readonly epochs: number;
  readonly steps: number;
}

/** How a part of a run came to its end. */
export type Outcome = "finished" | "interrupted" | "failed";

export interface Sink {
  /**
   * Begins, or goes on with what the sink holds of the run: whatever it was told of later than `from` is
   * superseded. Returns whether it holds nothing (any more), so that all records are to come. Called again
   * where it threw.
   */
  open(from: StartPlace): Promise<boolean>;
  /** Takes records in order; where it throws the same ones come again. */
  write(records: readonly LogRecord[]): Promise<void>;
  /** All that there was has been written. */
  close(outcome: Outcome): Promise<void>;
}

/** What a sink keeps of a run between processes: plain JSON, in `sinks/<name>.json` of the run. */
export type SinkMemory = Record<string, unknown>;

/** What a sink is made of. */
export interface SinkContext<Settings> {
  readonly facts: RunFacts;
  readonly settings: Settings;
  /** As the last process left it; what `write` and `open` change in it is kept when they return. */
  readonly memory: SinkMemory;
  /** Aborts when nobody waits any longer. */
  readonly signal: AbortSignal;
  /** The environment: addresses and credentials. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Something to know, said once. */
  readonly tell: (message: string) => void;
}

/** A kind of sink. */
export interface SinkKind<Settings> {
  /** For people: "TensorBoard". */
  readonly title: string;
  /** The command that shows a folder, where `place` is one. */
  readonly viewer?: string;
  /** What is wrong with the settings in this environment, in a sentence with what to do; nothing if fine. */
  readonly fault?: (
    settings: Settings,
    environment: SinkContext<Settings>["environment"],
  ) => string | undefined;
  /** Where it goes, for messages: an address, a folder. No credentials. */
  readonly place: (context: Pick<SinkContext<Settings>, "settings" | "environment" | "facts">) => string;
  readonly create: (context: SinkContext<Settings>) => Sink;
}
