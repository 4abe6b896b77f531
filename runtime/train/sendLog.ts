// Sends what a run has logged to sinks that have not had it, or not all: those of its spec, or others. The
// run is not trained; it is locked all the same, since what sinks remember lies in its folder.
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import type { LogTarget } from "../../compiler/spec/logKeys.ts";
import { acquireRunLock, type LockPurpose } from "../files/runLock.ts";
import { Delivery, type Undelivered } from "../logs/delivery.ts";
import { EventLog, readEvents } from "../logs/eventLog.ts";
import { epochRecords, factsOf, refuseSinks } from "../logs/runLogs.ts";
import type { SinkContext } from "../logs/sink.ts";
import { configuredSink } from "../logs/sinkTable.ts";
import { readBundleDirectory } from "../runs/bundleDirectory.ts";
import { readCheckpoint } from "../runs/checkpointChoice.ts";
import { RunFolder } from "../runs/runFolder.ts";
import { readProgress } from "./progress.ts";

const SENDING: LockPurpose = {
  activity: "works in this run directory",
  wayOut: "wait for it: a run that trains sends what it logs itself",
};
/** Longest wait of a timer: sending ends by itself, at the latest when a call fails. */
const NO_LIMIT_MS = 2 ** 31 - 1;

export interface SendLogOptions {
  /** In place of the spec's `log_to`. */
  readonly to?: readonly LogTarget[] | undefined;
  readonly environment: SinkContext<unknown>["environment"];
  readonly tell: (message: string) => void;
}

/** A sink and what it has now. */
export interface SentLog {
  readonly title: string;
  readonly place: string;
  readonly epochs: number;
  /** What kept it from having all; undefined where it has. */
  readonly missing: Undelivered | undefined;
}

/**
 * Sends the log of the run in `logdir`, one sink after another. E_FILE, E_CKPT_NONE, E_RUN_LOCKED; E_CONFIG
 * for a sink that cannot be used. What does not arrive is in the result.
 */
export async function sendLog(logdir: string, options: SendLogOptions): Promise<readonly SentLog[]> {
  const { directory, spec, bundle } = await RunFolder.open(logdir);
  const { environment, tell, to = spec.log_to } = options;
  await refuseSinks({ ...spec, log_to: [...to] }, environment);
  await using _lock = await acquireRunLock(directory, SENDING);
  const tasks = tasksOf(await readBundleDirectory(bundle, []));
  const { history } = readProgress(await readCheckpoint(directory, "newest"), tasks);
  const epochs = epochRecords(history, tasks);
  const reached = (await readEvents(directory)).reduce(
    (most, { at }) => Math.max(most, at),
    epochs.at(-1)?.at ?? 0,
  );
  const events = await EventLog.open(directory, reached);
  const facts = factsOf(directory, spec);
  const sent: SentLog[] = [];
  for (const target of to) {
    const sink = await configuredSink(target);
    const from = { epochs: history.length, steps: reached };
    const parts = { sink, facts, source: { events, epochs }, from, environment, tell };
    const delivery = await Delivery.start(parts);
    const outcome = history.length < spec.epochs ? "interrupted" : "finished";
    const missing = await delivery.finish(outcome, NO_LIMIT_MS);
    const place = sink.place({ facts, environment });
    sent.push({ title: sink.title, place, epochs: epochs.length - (missing?.epochs ?? 0), missing });
  }
  return sent;
}
