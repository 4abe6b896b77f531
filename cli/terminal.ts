// Where the commands write: results to stdout, progress and errors to stderr; colours and bars only where
// somebody looks. A reader that goes away (EPIPE, as with `| head`) ends the program quietly, unless the
// command has something to put in order first. Results that cannot be written (a full disk) are an error.
import { fstatSync, writeSync } from "node:fs";
import pc from "picocolors";
import { MttcError } from "../compiler/diagnostics.ts";
import { fileError, systemCode } from "../runtime/checkpoint/fileSystem.ts";

/** The two streams of a command, and what may be put on them. */
export interface Terminal {
  /** Writes a line of results to stdout. E_DISK or E_FILE where that is a file and cannot be written. */
  out(text: string): void;
  /** Writes a line of progress or warnings to stderr. */
  note(text: string): void;
  /**
   * Has `handler` called, in place of the program's end, when whoever reads stdout or stderr has gone;
   * returns a function that stops that.
   */
  onReaderGone(handler: () => void): () => void;
  /** Whether stdout is looked at by a person. */
  readonly isTerminal: boolean;
  /** Whether progress can be drawn over itself on stderr. */
  readonly drawsProgress: boolean;
  /** Colours for stdout; plain where nobody looks. */
  readonly colours: ReturnType<typeof pc.createColors>;
  /** Colours for stderr. */
  readonly noteColours: ReturnType<typeof pc.createColors>;
}

/** A pipe without a reader, and a terminal whose window was closed. */
const GONE_CODES: readonly string[] = ["EPIPE", "EIO", "ERR_STREAM_DESTROYED"];

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const handlers = new Set<() => void>();
  const gone = new Set<NodeJS.WriteStream>();
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      const hasReaderGone = GONE_CODES.includes(error.code ?? "");
      if (stream === process.stdout && !hasReaderGone) endUnwritten(error);
      // Without stderr nobody can be told of anything; the results still count.
      gone.add(stream);
      if (!hasReaderGone) return;
      if (handlers.size === 0 && stream === process.stdout) process.exit();
      for (const handler of handlers) handler();
    });
  const isFile = isPlainOutput(process.stdout.fd);
  const isTerminal = process.stdout.isTTY === true;
  const drawsProgress = process.stderr.isTTY === true;
  const wanted = process.env.NO_COLOR === undefined;
  return {
    out: (text) => {
      if (isFile) writeWhole(process.stdout.fd, `${text}\n`);
      else if (!gone.has(process.stdout)) process.stdout.write(`${text}\n`);
    },
    note: (text) => {
      if (!gone.has(process.stderr)) process.stderr.write(`${text}\n`);
    },
    onReaderGone: (handler) => {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    isTerminal,
    drawsProgress,
    colours: pc.createColors(isTerminal && wanted),
    noteColours: pc.createColors(drawsProgress && wanted),
  };
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

/** Text of a table on one line and without what a terminal would obey (escape sequences). */
export function plainText(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "\uFFFD");
}
