// log.jsonl of a run: one line of JSON for each epoch that is finished. The checkpoint is saved first and
// says what is true; a process that was killed between the two, or while it wrote a line, leaves a log that
// differs, and the next one brings it in line before it trains.
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { LOG_FILE } from "../runs/runFolder.ts";

/**
 * Appends the line of a finished epoch; NaN is written as null. E_FILE, E_DISK: the log is then as it was
 * before.
 */
export async function appendLog(directory: string, entry: object): Promise<void> {
  const file = join(directory, LOG_FILE);
  const line = Buffer.from(lineOf(entry));
  try {
    const handle = await open(file, "a");
    try {
      const { size } = await handle.stat();
      try {
        // Loops over short writes, which a nearly full disk makes.
        await handle.appendFile(line);
        await handle.sync();
      } catch (error) {
        await handle.truncate(size);
        throw error;
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(error, file, "write");
  }
}

/**
 * Makes the log hold the entries of finished epochs, each once and in order: lines that say the same stay as
 * they are, what is cut, joined, repeated or of later epochs goes, what is lost is written. Returns whether
 * it had to be mended. E_FILE, E_DISK.
 */
export async function reconcileLog(directory: string, entries: readonly object[]): Promise<boolean> {
  const file = join(directory, LOG_FILE);
  const text = await readLog(file);
  const found = new Map<string, string>();
  for (const line of text.split("\n")) {
    const key = keyOfLine(line);
    if (key !== undefined) found.set(key, `${line}\n`);
  }
  // Lines of earlier versions hold more than their keys: class names and a matrix.
  const right = entries
    .map(lineOf)
    .map((line) => found.get(keyOfLine(line) ?? "") ?? line)
    .join("");
  if (right === text) return false;
  await writeFileAtomically(file, right);
  return true;
}

async function readLog(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return "";
    throw fileError(error, file, "read");
  }
}

function lineOf(entry: object): string {
  return `${JSON.stringify(entry)}\n`;
}

/** What tells one epoch's line from all others; undefined for what is no line of a log. */
function keyOfLine(line: string): string | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== "object" || entry === null || !("epoch" in entry) || !("seconds" in entry)) return;
    const trainLoss = "trainLoss" in entry ? entry.trainLoss : null;
    return JSON.stringify([entry.epoch, entry.seconds, trainLoss]);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
