// Brings a run's records to one sink, beside training: a loop of its own that reads them from the run's own
// log, from where it stopped, tries again what fails with longer and longer pauses, and remembers after each
// success how far it came. What it could not bring lies in the log, for the next process.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { SINKS_FOLDER } from "../runs/logFiles.ts";
import type { EventLog } from "./eventLog.ts";
import type { EpochRecord, LogRecord, Outcome, RunFacts, Sink, SinkContext, StartPlace } from "./sink.ts";
import type { ConfiguredSink } from "./sinkTable.ts";

/** Records come together for so long, so that a fast run makes few calls. */
const PACE_MS = 1_000;
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [1_000, 60_000];
/** Read from the log at once, about. */
const CHUNK_BYTES = 256_000;
const CHUNK_EPOCHS = 200;

const stateSchema = z.object({
  format: z.literal("mttc-sink"),
  version: z.literal(1),
  /** What the sink has had: epochs, and bytes of events.jsonl. */
  delivered: z.object({ epochs: z.int().nonnegative(), bytes: z.int().nonnegative() }),
  memory: z.record(z.string(), z.unknown()),
});
type State = z.output<typeof stateSchema>;

/** Where records come from. */
export interface RecordSource {
  readonly events: EventLog;
  /** Finished epochs, those of earlier processes included. */
  readonly epochs: readonly EpochRecord[];
}

/** What a delivery is made of. */
export interface DeliveryParts {
  readonly sink: ConfiguredSink;
  readonly facts: RunFacts;
  readonly source: RecordSource;
  readonly from: StartPlace;
  readonly environment: SinkContext<unknown>["environment"];
  readonly tell: (message: string) => void;
  /** Milliseconds between two calls; a test may hurry. */
  readonly paceMs?: number | undefined;
}

/** What has not arrived, and why. */
export interface Undelivered {
  readonly sink: ConfiguredSink["name"];
  readonly title: string;
  readonly place: string;
  readonly epochs: number;
  readonly reason: string;
}

export class Delivery {
  readonly #parts: DeliveryParts;
  readonly #sink: Sink;
  readonly #state: State;
  readonly #gaveUp = new AbortController();
  #isOpen = false;
  #outcome: Outcome | undefined;
  #failure: unknown;
  #failures = 0;
  #isTold = false;
  #hasNews = false;
  #wake: () => void = () => undefined;
  readonly #done: Promise<void>;

  private constructor(parts: DeliveryParts, state: State) {
    this.#parts = parts;
    this.#state = state;
    const { sink, facts, environment } = parts;
    const tell = (message: string): void => parts.tell(`${sink.title}: ${message}`);
    const { memory } = state;
    this.#sink = sink.create({ facts, environment, memory, signal: this.#gaveUp.signal, tell });
    this.#done = this.#run();
    // Whoever finishes is told.
    this.#done.catch(() => undefined);
  }

  /** Begins to deliver. E_FILE where what the sink remembers cannot be read. */
  static async start(parts: DeliveryParts): Promise<Delivery> {
    const { from, source, facts, sink } = parts;
    const { delivered, memory } = await readState(stateFile(facts.directory, sink.name));
    // What lies beyond where training begins was cut off the log.
    const epochs = Math.min(delivered.epochs, from.epochs);
    const bytes = Math.min(delivered.bytes, source.events.size);
    return new Delivery(parts, { format: "mttc-sink", version: 1, delivered: { epochs, bytes }, memory });
  }

  /** There are new records. */
  wake(): void {
    this.#hasNews = true;
    this.#wake();
  }

  /**
   * Delivers what there is and closes the sink, within `limitMs`; what fails now is left for later. Returns
   * what did not arrive.
   */
  async finish(outcome: Outcome, limitMs: number): Promise<Undelivered | undefined> {
    this.#outcome = outcome;
    this.#wake();
    const timer = new AbortController();
    const late = sleep(limitMs, "late", { signal: timer.signal }).catch(() => "late");
    const end = await Promise.race([this.#done, late]);
    timer.abort();
    if (end === "late")
      this.#failure ??= new MttcError({ code: "E_SINK", message: `not done within ${limitMs / 1000} s` });
    this.#gaveUp.abort();
    if (this.#failure === undefined) return undefined;
    if (this.#failure instanceof InternalError) throw this.#failure;
    const { sink, source, facts, environment } = this.#parts;
    const epochs = source.epochs.length - this.#state.delivered.epochs;
    const place = sink.place({ facts, environment });
    return { sink: sink.name, title: sink.title, place, epochs, reason: reasonText(this.#failure) };
  }

  async #run(): Promise<void> {
    for (;;) {
      let isIdle = false;
      try {
        isIdle = !(await this.#round());
        if (isIdle && this.#outcome !== undefined) {
          await this.#sink.close(this.#outcome);
          await this.#remember();
          this.#recovered();
          return;
        }
        this.#recovered();
      } catch (error) {
        this.#failed(error);
        // Nobody waits for another try at the end.
        if (this.#outcome !== undefined || error instanceof InternalError) return;
      }
      if (this.#gaveUp.signal.aborted) return;
      if (isIdle || this.#failures > 0) await this.#pause();
    }
  }

  /** Delivers some of what there is; returns whether there was any. */
  async #round(): Promise<boolean> {
    if (!this.#isOpen) await this.#open();
    this.#hasNews = false;
    const { delivered } = this.#state;
    const { events, epochs } = this.#parts.source;
    const { events: read, next } = await events.read(delivered.bytes, CHUNK_BYTES);
    const finished = epochs.slice(delivered.epochs, delivered.epochs + CHUNK_EPOCHS);
    if (next === delivered.bytes && finished.length === 0) return false;
    const records: LogRecord[] = [...read, ...finished].sort((a, b) => a.at - b.at);
    await this.#sink.write(records);
    delivered.bytes = next;
    delivered.epochs += finished.length;
    await this.#remember();
    return true;
  }

  async #open(): Promise<void> {
    const { delivered } = this.#state;
    const hasAny = delivered.bytes > 0 || delivered.epochs > 0;
    const isNew = await this.#sink.open(hasAny ? this.#parts.from : { epochs: 0, steps: 0 });
    if (isNew) Object.assign(delivered, { epochs: 0, bytes: 0 });
    await this.#remember();
    this.#isOpen = true;
  }

  async #remember(): Promise<void> {
    const { facts, sink } = this.#parts;
    const text = `${JSON.stringify(this.#state, null, 1)}\n`;
    await writeFileAtomically(stateFile(facts.directory, sink.name), text);
  }

  /** Waits for records or, after a failure, for the time of another try; the run's end ends it. */
  async #pause(): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (this.#failures > 0)
      return await this.#rest(Math.min(FIRST_PAUSE_MS * 2 ** (this.#failures - 1), LONGEST_PAUSE_MS));
    if (this.#outcome !== undefined) return;
    if (!this.#hasNews) await woken;
    await this.#rest(this.#parts.paceMs ?? PACE_MS);
  }

  /** So many milliseconds, or until the run ends. */
  async #rest(ms: number): Promise<void> {
    if (this.#outcome !== undefined) return;
    const timer = new AbortController();
    const ended = new Promise<void>((resolve) => {
      this.#wake = () => {
        if (this.#outcome !== undefined) resolve();
      };
    });
    await Promise.race([sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined), ended]);
    timer.abort();
  }

  #failed(error: unknown): void {
    this.#failure = error;
    this.#failures += 1;
    if (this.#isTold || this.#outcome !== undefined) return;
    this.#isTold = true;
    const { sink, tell, facts, environment } = this.#parts;
    const place = sink.place({ facts, environment });
    tell(`${sink.title} (${place}): ${reasonText(error)}; training goes on, and it is tried again`);
  }

  #recovered(): void {
    const { sink, tell } = this.#parts;
    if (this.#isTold && this.#failures > 0) tell(`${sink.title}: is there again, nothing is lost`);
    this.#failures = 0;
    this.#failure = undefined;
  }
}

/** One line of what went wrong; a server's address is said beside it, a file is named. */
function reasonText(error: unknown): string {
  if (error instanceof MttcError) {
    const { code = "E_SINK", message = error.message, at } = error.faults[0] ?? {};
    return code === "E_SINK" || at?.file === undefined ? message : `${at.file}: ${message}`;
  }
  return error instanceof Error ? error.message : String(error);
}

function stateFile(directory: string, sink: string): string {
  return join(directory, SINKS_FOLDER, `${sink}.json`);
}

/** What a sink remembers; nothing where there is no file, or one that is no such. */
async function readState(file: string): Promise<Pick<State, "delivered" | "memory">> {
  const nothing = { delivered: { epochs: 0, bytes: 0 }, memory: {} };
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return nothing;
    throw fileError(error, file, "read");
  }
  try {
    return stateSchema.safeParse(JSON.parse(text)).data ?? nothing;
  } catch (error) {
    if (error instanceof SyntaxError) return nothing;
    throw error;
  }
}
