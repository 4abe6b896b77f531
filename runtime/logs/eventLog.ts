// events.jsonl of a run: what happened within epochs, a line of JSON each, in order: figures by step,
// pictures, vectors. It is the run's own copy of all that other sinks are sent, who read it from where they
// stopped. A resume cuts off what lies beyond its checkpoint; what a write left half is cut off, too.
import { appendFile, open, readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { EVENTS_FILE } from "../runs/logFiles.ts";
import type { RunEvent } from "./sink.ts";

const moment = { epoch: z.int(), at: z.int().nonnegative(), time: z.number() };
const eventSchema: z.ZodType<RunEvent> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("step"), ...moment, scalars: z.record(z.string(), z.number()) }),
  z.object({ kind: z.literal("picture"), ...moment, name: z.string(), file: z.string() }),
  z.object({
    ...{ kind: z.literal("embedding"), ...moment, name: z.string(), folder: z.string() },
    shape: z.tuple([z.int(), z.int()]),
    spriteSide: z.int().optional(),
  }),
]);

/** Lines that wait for a disk with room again; of more the oldest go. */
const MOST_WAITING = 20_000;

export class EventLog {
  readonly #path: string;
  #size: number;
  #waiting: string[] = [];
  #writing: Promise<void> = Promise.resolve();
  #failure: unknown;

  private constructor(path: string, size: number) {
    this.#path = path;
    this.#size = size;
  }

  /** The log of the run in `directory`, cut off behind the step `steps` of the run. E_FILE. */
  static async open(directory: string, steps: number): Promise<EventLog> {
    const path = join(directory, EVENTS_FILE);
    const bytes = await contentOf(path);
    const size = sizeUpTo(bytes, steps);
    try {
      if (size < bytes.length) await truncate(path, size);
    } catch (error) {
      throw fileError(error, path, "write");
    }
    return new EventLog(path, size);
  }

  /** Bytes that stand. */
  get size(): number {
    return this.#size;
  }

  /** What kept the last write from being done: E_FILE, E_DISK; undefined where all is well. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Appends a line, in the order of the calls; resolves when it stands, or did not come to. */
  add(event: RunEvent): Promise<void> {
    this.#waiting.push(`${JSON.stringify(event)}\n`);
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift();
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const lines = this.#waiting;
    if (lines.length === 0) return;
    this.#waiting = [];
    const bytes = Buffer.from(lines.join(""));
    try {
      await appendFile(this.#path, bytes);
      this.#size += bytes.length;
      this.#failure = undefined;
    } catch (error) {
      this.#failure = fileError(error, this.#path, "write");
      this.#waiting = [...lines, ...this.#waiting];
      await truncate(this.#path, this.#size).catch(() => undefined);
    }
  }

  /** Tries once more to write what waits. */
  async settled(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  /** Events from byte `offset` on, about `most` bytes of them, and where the next ones begin. E_FILE. */
  async read(offset: number, most: number): Promise<{ events: RunEvent[]; next: number }> {
    if (offset >= this.#size) return { events: [], next: offset };
    const bytes = Buffer.alloc(Math.min(most, this.#size - offset));
    try {
      await using handle = await open(this.#path, "r");
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, offset);
      const end = bytes.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
      // A line that is longer than what is read at once.
      if (end === 0 && most < LONGEST_LINE) return await this.read(offset, 2 * most);
      const lines = bytes.toString("utf8", 0, end).split("\n");
      return { events: lines.flatMap((line) => parseEvent(line) ?? []), next: offset + Math.max(end, 1) };
    } catch (error) {
      throw fileError(error, this.#path, "read");
    }
  }
}

const NEWLINE = 0x0a;
const LONGEST_LINE = 2 ** 26;

/** The events of the run in `directory` as they stand; none where it has no such file. E_FILE. */
export async function readEvents(directory: string): Promise<RunEvent[]> {
  const text = (await contentOf(join(directory, EVENTS_FILE))).toString("utf8");
  return text.split("\n").flatMap((line) => parseEvent(line) ?? []);
}

/** Bytes of the lines that are whole and of steps up to `steps`. */
function sizeUpTo(bytes: Buffer, steps: number): number {
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
    const event = parseEvent(bytes.toString("utf8", start, end));
    if (event === undefined || event.at > steps) return start;
    start = end + 1;
  }
  return start;
}

function parseEvent(line: string): RunEvent | undefined {
  try {
    return eventSchema.safeParse(JSON.parse(line)).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function contentOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return Buffer.alloc(0);
    throw fileError(error, path, "read");
  }
}
