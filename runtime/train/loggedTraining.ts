// Training with the run's logs beside it: they listen to what the trainer tells, and the end waits for them a
// bounded time.
import { access } from "node:fs/promises";
import { join } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { RUN_SHEET } from "../augment/runSheet.ts";
import { newestPictures } from "../logs/pictures.ts";
import { type LoggedRun, RunLogs } from "../logs/runLogs.ts";
import { epochScalars } from "../logs/scalars.ts";
import type { Outcome } from "../logs/sink.ts";
import type { EpochReport, EventHub } from "./events.ts";
import type { ReportedTasks } from "./judgement.ts";
import { logEntry } from "./runHistory.ts";

/**
 * Does `work` while the logs of `run` listen to `events`. Throws what the work throws; of the logs only what
 * keeps the run's own from being opened: E_FILE.
 */
export async function withLogs(run: LoggedRun, events: EventHub, work: () => Promise<void>): Promise<void> {
  const tell = (message: string): void => void events.emit("log", { message });
  const logs = await RunLogs.open(run, { tell, environment: process.env });
  const stops = [
    events.on("step", (event) => logs.step(event)),
    events.on("epoch", (report) => logs.epoch(report)),
    events.on("picture", (event) => logs.picture(event)),
    events.on("embedding", (event) => logs.embedding(event)),
  ];
  let outcome: Outcome = "finished";
  try {
    await tellSheet(run.directory, logs);
    await work();
  } catch (error) {
    outcome = error instanceof MttcError && error.code === "E_INTERRUPTED" ? "interrupted" : "failed";
    throw error;
  } finally {
    for (const stop of stops) stop();
    await logs.finish(outcome);
  }
}

/** The sheet of augmented images is drawn before the logs are open, and once in a run. */
async function tellSheet(directory: string, logs: RunLogs): Promise<void> {
  const isDrawn = await access(join(directory, RUN_SHEET)).then(
    () => true,
    () => false,
  );
  if (!isDrawn) return;
  const known = await newestPictures(directory);
  if (!known.some(({ file }) => file === RUN_SHEET)) logs.keptPicture("augmentation", RUN_SHEET);
}

/** The lines of log.jsonl of finished epochs. */
export function logLines(history: readonly EpochReport[], tasks: ReportedTasks): object[] {
  return history.map((report) => ({ ...logEntry(report, tasks), scalars: epochScalars(report, tasks) }));
}
