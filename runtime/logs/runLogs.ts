// All logs of a run while it trains: its own (log.jsonl, events.jsonl, pictures) and the sinks that the spec
// names, which follow it. Nothing here keeps training waiting, and no sink stops it: what fails is said once.
import { basename, join } from "node:path";
import { stringify } from "yaml";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { visibleText } from "../../compiler/visibleText.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { PROJECTOR_FOLDER } from "../runs/logFiles.ts";
import { Delivery, type Undelivered } from "./delivery.ts";
import { EventLog } from "./eventLog.ts";
import { hyperparametersOf } from "./hyperparameters.ts";
import { fileName, keepPicture, pictureFile } from "./pictures.ts";
import { EMBEDDING_FILES, metadataTable, tensorsTable } from "./projector.ts";
import type { EmbeddingEvent, EpochReport, PictureEvent, StepEvent } from "./reports.ts";
import { epochScalars } from "./scalars.ts";
import type { EpochRecord, Moment, Outcome, RunEvent, RunFacts, SinkContext } from "./sink.ts";
import { configuredSink } from "./sinkTable.ts";
import { type BegunEpoch, StepMeans } from "./stepMeans.ts";

/** How long the end of a run waits for sinks: a finished one, and one that somebody wants to end. */
const LIMIT_MS = { finished: 10_000, interrupted: 5_000, failed: 5_000 } as const;

/** A run that is about to be trained. */
export interface LoggedRun {
  /** Its folder, absolute and locked. */
  readonly directory: string;
  readonly spec: Spec;
  readonly tasks: readonly Task[];
  /** Their weights in the loss. */
  readonly weights: ReadonlyMap<string, number | "adaptive">;
  /** Epochs that are finished; it grows while the run trains. */
  readonly history: readonly EpochReport[];
  readonly begun: BegunEpoch;
}

export interface LogOptions {
  readonly tell: (message: string) => void;
  readonly environment: SinkContext<unknown>["environment"];
  /** Milliseconds between two calls of a sink; a test may hurry. */
  readonly paceMs?: number | undefined;
}

/** E_CONFIG where a sink of the spec cannot be used in this environment. */
export async function refuseSinks(spec: Spec, environment: LogOptions["environment"]): Promise<void> {
  for (const [index, target] of spec.log_to.entries()) {
    const message = (await configuredSink(target)).fault(environment);
    if (message !== undefined)
      throw new MttcError({ code: "E_CONFIG", message, at: { path: `log_to[${index}]` } });
  }
}

export class RunLogs {
  readonly #run: LoggedRun;
  readonly #options: LogOptions;
  readonly #events: EventLog;
  readonly #epochs: EpochRecord[];
  readonly #deliveries: readonly Delivery[];
  readonly #means: StepMeans;
  /**
   * What is written to events.jsonl in the order of what happened, each picture before the line that
   * names it.
   */
  #keeping: Promise<void> = Promise.resolve();
  #hasToldFailure = false;
  /** Steps that the run has taken. */
  #reached: number;

  private constructor(
    run: LoggedRun,
    options: LogOptions,
    parts: { events: EventLog; epochs: EpochRecord[]; deliveries: readonly Delivery[] },
  ) {
    this.#run = run;
    this.#options = options;
    this.#events = parts.events;
    this.#epochs = parts.epochs;
    this.#deliveries = parts.deliveries;
    this.#means = new StepMeans(run);
    this.#reached = stepsUpTo(run.history, run.history.length) + run.begun.step;
  }

  /**
   * Opens the logs where the run stands. E_FILE, E_DISK of the run's own; a sink that cannot be opened is
   * tried again.
   */
  static async open(run: LoggedRun, options: LogOptions): Promise<RunLogs> {
    const { directory, spec, history, tasks, begun } = run;
    const epochs = epochRecords(history, tasks);
    const from = { epochs: history.length, steps: (epochs.at(-1)?.at ?? 0) + begun.step };
    const events = await EventLog.open(directory, from.steps);
    const facts = factsOf(directory, spec);
    const source = { events, epochs };
    const deliveries: Delivery[] = [];
    for (const target of spec.log_to) {
      const sink = await configuredSink(target);
      const { tell, environment, paceMs } = options;
      deliveries.push(await Delivery.start({ sink, facts, source, from, environment, tell, paceMs }));
    }
    return new RunLogs(run, options, { events, epochs, deliveries });
  }

  /** After each step. */
  step(event: StepEvent): void {
    const { epoch } = event;
    // An epoch is told when its checkpoint stands, and the next one has begun by then: the history has it.
    this.#reached = stepsUpTo(this.#run.history, epoch - 1) + event.step;
    const scalars = this.#means.after(event);
    if (scalars) this.#keep({ kind: "step", epoch, at: this.#reached, time: Date.now(), scalars });
  }

  /** After each finished epoch, once it is in the history. */
  epoch(report: EpochReport): void {
    const { history, tasks } = this.#run;
    const at = stepsUpTo(history, report.epoch);
    this.#epochs.push(epochRecord(report, at, tasks));
    this.#wake();
  }

  /** Keeps a picture. */
  picture({ name, epoch, png }: PictureEvent): void {
    const file = pictureFile(name, epoch);
    const event = { kind: "picture", ...this.#momentAfter(epoch), name, file } as const;
    this.#keep(event, () => keepPicture(this.#run.directory, file, png));
  }

  /** Tells of a picture that lies in the run's folder already, of before the first step. */
  keptPicture(name: string, file: string): void {
    this.#keep({ kind: "picture", ...this.#momentAfter(0), name, file });
  }

  /** Keeps vectors, in place of earlier ones of that name. */
  embedding({ name, epoch, vectors, width, rows, sprite }: EmbeddingEvent): void {
    if (vectors.length !== width * rows.values.length)
      throw new InternalError(`${rows.values.length} rows of ${width} numbers are not ${vectors.length}`);
    const folder = `${PROJECTOR_FOLDER}/${fileName(name)}`;
    const shape = [rows.values.length, width] as const;
    const { directory } = this.#run;
    const write = (file: string, content: string | Uint8Array) =>
      writeFileAtomically(join(directory, folder, file), content);
    const event = { kind: "embedding", ...this.#momentAfter(epoch), name, folder, shape } as const;
    this.#keep(sprite ? { ...event, spriteSide: sprite.side } : event, async () => {
      await write(EMBEDDING_FILES.tensors, tensorsTable(vectors, width));
      await write(EMBEDDING_FILES.metadata, metadataTable(rows));
      if (sprite) await write(EMBEDDING_FILES.sprite, sprite.png);
    });
  }

  /** Waits, not for long, until sinks have all that there is, and says what they have not. */
  async finish(outcome: Outcome): Promise<readonly Undelivered[]> {
    await this.#keeping;
    await this.#events.settled();
    this.#tellFailure();
    const ends = await Promise.all(
      this.#deliveries.map((delivery) => delivery.finish(outcome, LIMIT_MS[outcome])),
    );
    const missing = ends.flatMap((end) => end ?? []);
    for (const each of missing) this.#options.tell(undeliveredText(each, this.#run.directory));
    return missing;
  }

  #keep(event: RunEvent, writeFiles?: () => Promise<void>): void {
    this.#keeping = this.#keeping.then(async () => {
      try {
        await writeFiles?.();
      } catch (error) {
        if (error instanceof InternalError) throw error;
        return this.#options.tell(`warning: a picture is not kept: ${reasonOf(error)}`);
      }
      await this.#events.add(event);
      this.#tellFailure();
      this.#wake();
    });
    // Rejects for whoever finishes.
    this.#keeping.catch(() => undefined);
  }

  #tellFailure(): void {
    const { failure } = this.#events;
    if (failure === undefined || this.#hasToldFailure) return;
    this.#hasToldFailure = true;
    this.#options.tell(`warning: the log by step is behind: ${reasonOf(failure)}; training goes on`);
  }

  #wake(): void {
    for (const delivery of this.#deliveries) delivery.wake();
  }

  /** Now, at the end of so many epochs. */
  #momentAfter(epoch: number): Moment {
    const { history } = this.#run;
    // What is drawn at the end of an epoch comes before its report.
    const at = epoch <= history.length ? stepsUpTo(history, epoch) : this.#reached;
    return { epoch, at, time: Date.now() };
  }
}

/** Steps of the first `epochs` epochs. */
function stepsUpTo(history: readonly EpochReport[], epochs: number): number {
  return history.slice(0, epochs).reduce((sum, { steps }) => sum + steps, 0);
}

/** Records of finished epochs. */
export function epochRecords(history: readonly EpochReport[], tasks: readonly Task[]): EpochRecord[] {
  let at = 0;
  return history.map((report) => {
    at += report.steps;
    return epochRecord(report, at, tasks);
  });
}

/** Reports of older versions have no time, and take that of now. */
function epochRecord(report: EpochReport, at: number, tasks: readonly Task[]): EpochRecord {
  const { epoch, time = Date.now() } = report;
  return { kind: "epoch", epoch, at, time, scalars: epochScalars(report, tasks) };
}

/** What sinks are told of a run. */
export function factsOf(directory: string, spec: Spec): RunFacts {
  const { notes } = spec;
  const yaml = `\`\`\`yaml\n${stringify(spec)}\`\`\``;
  return {
    ...{ directory, spec, name: basename(directory), startedAt: Date.now() },
    hyperparameters: hyperparametersOf(spec),
    texts: [...(notes === null ? [] : [{ name: "notes", text: notes }]), { name: "spec", text: yaml }],
  };
}

/** What did not arrive, and how it gets there. */
export function undeliveredText({ title, place, epochs, reason }: Undelivered, directory: string): string {
  const what = epochs === 0 ? "its end" : `${epochs} ${epochs === 1 ? "epoch" : "epochs"}`;
  const run = visibleText(directory);
  return `${title} (${place}) has not had ${what}: ${reason}; all of it is in the run: mttc log ${run} sends it`;
}

function reasonOf(error: unknown): string {
  if (error instanceof MttcError) return error.faults[0]?.message ?? error.message;
  return error instanceof Error ? error.message : String(error);
}
