// Where the commands write: results to stdout, progress and errors to stderr; colours and bars only where
// somebody looks. Nothing that stands in a file reaches a terminal as an order: all text passes one gate,
// which lets through lines and the colours of ours, known by a number that no file can know. Where a reader
// goes away (EPIPE, as with `| head`), what is written is dropped without a word: a command does what it was
// asked to and its exit code tells of that, unless it stops by choice and says so (`onReaderGone`). Results
// that cannot be written (a full disk) are an error.
import { randomInt } from "node:crypto";
import { fstatSync, writeSync } from "node:fs";
import pc from "picocolors";
import { MttcError } from "../compiler/diagnostics.ts";
import { visibleLines } from "../compiler/visibleText.ts";
import { fileError, systemCode } from "../runtime/files/fileSystem.ts";

/** Begins every sequence that a terminal obeys. */
const ESCAPE = "\u001b";

/** The colours of a stream. */
export type Colours = ReturnType<typeof pc.createColors>;

/** The two streams of a command, and what may be put on them. */
export interface Terminal {
  /**
   * Writes lines of results to stdout; what a terminal would obey in them is shown escaped. E_DISK or E_FILE
   * where that is a file and cannot be written.
   */
  out(text: string): void;
  /** Writes lines of progress or warnings to stderr, as `out` does. */
  note(text: string): void;
  /** Writes data to stdout as they are (CSV); to a person's terminal escaped as `out` does. */
  data(text: string): void;
  /**
   * Has `handler` called when whoever reads stdout or stderr has gone, at once where that was before; returns
   * a function that stops that.
   */
  onReaderGone(handler: () => void): () => void;
  /** Whether stdout is looked at by a person. */
  readonly isTerminal: boolean;
  /** Whether progress can be drawn over itself on stderr. */
  readonly drawsProgress: boolean;
  /** Colours for stdout; plain where nobody looks. */
  readonly colours: Colours;
  /** Colours for stderr. */
  readonly noteColours: Colours;
}

/** A stream as text is written to it. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** A pipe without a reader, and a terminal whose window was closed. */
const GONE_CODES: readonly string[] = ["EPIPE", "EIO", "ERR_STREAM_DESTROYED"];

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const handlers = new Set<() => void>();
  const gone = new Set<NodeJS.WriteStream>();
  let hasReaderGone = false;
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      const isReader = GONE_CODES.includes(error.code ?? "");
      if (stream === process.stdout && !isReader) endUnwritten(error);
      // Without stderr nobody can be told of anything; the results still count.
      gone.add(stream);
      if (!isReader) return;
      hasReaderGone = true;
      for (const handler of handlers) handler();
    });
  const isFile = isPlainOutput(process.stdout.fd);
  const stdout: Sink = {
    isTTY: process.stdout.isTTY === true && !isSeemingTerminal(process.stdout, process.env),
    write: (text) => {
      if (isFile) writeWhole(process.stdout.fd, text);
      else if (!gone.has(process.stdout)) process.stdout.write(text);
    },
  };
  const stderr: Sink = {
    isTTY: process.stderr.isTTY === true,
    write: (text) => {
      if (!gone.has(process.stderr)) process.stderr.write(text);
    },
  };
  return {
    ...terminalOn(stdout, stderr, process.env.NO_COLOR === undefined),
    onReaderGone: (handler) => {
      handlers.add(handler);
      if (hasReaderGone) handler();
      return () => handlers.delete(handler);
    },
  };
}

/** A terminal on two streams that have readers; `coloured` allows colours where they are looked at. */
export function terminalOn(stdout: Sink, stderr: Sink, coloured: boolean): Terminal {
  const isTerminal = stdout.isTTY === true;
  const drawsProgress = stderr.isTTY === true;
  const gate = colourGate();
  return {
    out: (text) => void stdout.write(`${gate.show(text)}\n`),
    note: (text) => void stderr.write(`${gate.show(text)}\n`),
    data: (text) => void stdout.write(isTerminal ? gate.show(text.replaceAll("\r\n", "\n")) : text),
    onReaderGone: () => () => undefined,
    isTerminal,
    drawsProgress,
    colours: gate.sign(pc.createColors(isTerminal && coloured)),
    noteColours: gate.sign(pc.createColors(drawsProgress && coloured)),
  };
}

/** Open MPI gives its processes a terminal of no width for stdout, whoever or whatever reads it. */
export function isSeemingTerminal(
  { columns }: Pick<NodeJS.WriteStream, "columns">,
  { OMPI_COMM_WORLD_SIZE: size }: NodeJS.ProcessEnv,
): boolean {
  return size !== undefined && !(columns > 0);
}

/** A file or a device, which take what is written at once; not a pipe, a socket or a terminal. */
function isPlainOutput(fd: number): boolean {
  if (process.stdout.isTTY) return false;
  try {
    const stat = fstatSync(fd);
    return stat.isFile() || stat.isCharacterDevice();
  } catch (error) {
    // Closed from the start (`>&-`): the stream's own error says so.
    if (systemCode(error) === undefined) throw error;
    return false;
  }
}

/** Node's stream for files drops what a nearly full disk did not take of a write. */
function writeWhole(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  } catch (error) {
    throw outputError(error);
  }
}

/** Ends the program as an error of the command would: it comes when no command waits for it. */
function endUnwritten(error: unknown): never {
  const failure = outputError(error);
  if (!(failure instanceof MttcError)) throw failure;
  process.stderr.write(`error: ${failure.message}\n`);
  process.exit(failure.exitCode);
}

function outputError(error: unknown): unknown {
  const failure = fileError(error, "standard output", "write the results");
  if (!(failure instanceof MttcError)) return failure;
  const hint = "what is saved stays; make room, or write them elsewhere";
  return new MttcError(
    failure.faults.map((fault) => ({ ...fault, hint })),
    { cause: error },
  );
}

/**
 * Colours whose sequences bear a number drawn for this process, and what makes plain ones of these and shows
 * every other escape sequence.
 */
function colourGate(): {
  readonly sign: (colours: Colours) => Colours;
  readonly show: (text: string) => string;
} {
  const number = randomInt(1e9, 1e10);
  const signed = new RegExp(`(${ESCAPE}\\[\\d+;${number}m)`);
  const unsigned = new RegExp(`(?<=${ESCAPE}\\[\\d+)m`, "g");
  const plain = (sequence: string): string => sequence.replace(`;${number}m`, "m");
  const clean = (text: string, ours: (sequence: string) => string): string =>
    text
      .split(signed)
      .map((part, i) => (i % 2 === 1 ? ours(part) : visibleLines(part)))
      .join("");
  const sign = (paint: (text: string) => string) => (text: string | number | null | undefined) =>
    paint(clean(String(text), (sequence) => sequence)).replace(unsigned, `;${number}m`);
  return {
    sign: (colours) =>
      Object.fromEntries(
        Object.entries(colours).map(([name, paint]) => [
          name,
          typeof paint === "function" ? sign(paint) : paint,
        ]),
      ) as unknown as Colours,
    show: (text) => clean(text, plain),
  };
}
