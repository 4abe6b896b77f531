// TensorBoard: event files in the run's own folder. Figures of epochs are the run itself, those by step its
// part `steps`, so that a chart shows both under one name; the axis is steps since the run began. Pictures,
// notes and the spec as text, hyperparameters, and vectors in the projector come with it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { SinkSettings } from "../../compiler/spec/logKeys.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError } from "../files/fileSystem.ts";
import { PROJECTOR_FILE } from "../runs/logFiles.ts";
import { EventFile, hasEventFiles } from "./eventFile.ts";
import {
  type EventMessage,
  imageValue,
  SESSION_START,
  SESSION_STATUS,
  type SummaryValue,
  sessionEndValue,
  sessionStartValue,
  textValue,
} from "./eventMessages.ts";
import { projectorConfig } from "./projector.ts";
import type { Scalars } from "./scalars.ts";
import type {
  EmbeddingRecord,
  LogRecord,
  Moment,
  Outcome,
  Sink,
  SinkContext,
  SinkKind,
  StartPlace,
} from "./sink.ts";

/** Folder, in the run's, of the figures by step. */
const STEPS_FOLDER = "steps";

type Context = SinkContext<SinkSettings<"tensorboard">>;

/** The sink. */
export const tensorboardSink: SinkKind<SinkSettings<"tensorboard">> = {
  title: "TensorBoard",
  viewer: "tensorboard --logdir",
  place: ({ facts }) => facts.directory,
  create: (context) => new TensorboardSink(context),
};

class TensorboardSink implements Sink {
  readonly #context: Context;
  #from: StartPlace = { epochs: 0, steps: 0 };
  /** Open files by folder. */
  readonly #files = new Map<string, EventFile>();

  constructor(context: Context) {
    this.#context = context;
  }

  async open(from: StartPlace): Promise<boolean> {
    const { facts, memory } = this.#context;
    const isNew = !(await hasEventFiles(facts.directory));
    this.#from = isNew ? { epochs: 0, steps: 0 } : from;
    const { startedAt, hyperparameters, name, texts } = facts;
    const told = { hyperparameters, texts };
    // What it knows already it shows already.
    if (!isNew && JSON.stringify(memory.told) === JSON.stringify(told)) return false;
    const value = [
      sessionStartValue(hyperparameters, name, startedAt / 1000),
      ...texts.map(({ name: tag, text }) => textValue(tag, text)),
    ];
    const { steps: step } = this.#from;
    await this.#append(".", [{ wallTime: startedAt / 1000, step, summary: { value } }]);
    memory.told = told;
    return isNew;
  }

  async write(records: readonly LogRecord[]): Promise<void> {
    const whole: EventMessage[] = [];
    const steps: EventMessage[] = [];
    for (const record of records) {
      if (record.kind === "step") steps.push(eventOf(record, scalarValues(record.scalars)));
      else if (record.kind === "epoch")
        whole.push(eventOf(record, scalarValues({ ...record.scalars, epoch: record.epoch })));
      else if (record.kind === "picture")
        whole.push(eventOf(record, [imageValue(record.name, await this.#read(record.file))]));
      else await this.#project(record);
    }
    await this.#append(STEPS_FOLDER, steps);
    await this.#append(".", whole);
  }

  async close(outcome: Outcome): Promise<void> {
    const { memory } = this.#context;
    const status = outcome === "failed" ? SESSION_STATUS.failure : SESSION_STATUS.success;
    const now = Date.now() / 1000;
    const summary = { value: [sessionEndValue(status, now)] };
    // What is interrupted goes on.
    if (outcome !== "interrupted" && (this.#files.size > 0 || memory.status !== status))
      await this.#append(".", [{ wallTime: now, step: this.#from.steps, summary }]);
    memory.status = outcome === "interrupted" ? undefined : status;
    for (const file of this.#files.values()) await file.close();
    this.#files.clear();
  }

  async #append(folder: string, events: readonly EventMessage[]): Promise<void> {
    if (events.length === 0) return;
    await (this.#files.get(folder) ?? (await this.#create(folder))).append(events);
  }

  /** A new file of what comes from now on; in those before it what is later than its begin is superseded. */
  async #create(folder: string): Promise<EventFile> {
    const seconds = Date.now() / 1000;
    const start = { wallTime: seconds, step: this.#from.steps + 1, sessionLog: { status: SESSION_START } };
    const file = await EventFile.create(join(this.#context.facts.directory, folder), seconds, [start]);
    this.#files.set(folder, file);
    return file;
  }

  async #read(file: string): Promise<Uint8Array> {
    const path = join(this.#context.facts.directory, file);
    try {
      return await readFile(path);
    } catch (error) {
      throw fileError(error, path, "read the picture");
    }
  }

  /** Lists the vectors in the file that the projector reads; it shows the newest under each name. */
  async #project(record: EmbeddingRecord): Promise<void> {
    const { memory, facts } = this.#context;
    const known = (memory.embeddings ?? {}) as Record<string, EmbeddingRecord>;
    memory.embeddings = { ...known, [record.name]: record };
    const config = projectorConfig(Object.values(memory.embeddings as typeof known));
    await writeFileAtomically(join(facts.directory, PROJECTOR_FILE), config);
  }
}

function eventOf({ at, time }: Moment, value: readonly SummaryValue[]): EventMessage {
  return { wallTime: time / 1000, step: at, summary: { value } };
}

function scalarValues(scalars: Scalars): SummaryValue[] {
  return Object.entries(scalars).map(([tag, simpleValue]) => ({ tag, simpleValue }));
}
