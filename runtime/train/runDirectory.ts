// The log of a run: one JSON line per finished epoch.
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { fileError } from "../checkpoint/fileSystem.ts";
import type { EpochReport } from "./events.ts";

const LOG_FILE = "log.jsonl";

/** Appends one line per finished epoch; NaN is written as null. */
export async function appendLog(logdir: string, report: EpochReport): Promise<void> {
  const file = join(logdir, LOG_FILE);
  try {
    await appendFile(file, `${JSON.stringify(report)}\n`);
  } catch (error) {
    throw fileError(error, file, "write");
  }
}
