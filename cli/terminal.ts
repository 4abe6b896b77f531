// Where the commands write: results to stdout, progress and errors to stderr; colours and bars only where
// somebody looks. A reader that goes away (EPIPE, as with `| head`) ends the program quietly.
import pc from "picocolors";

/** The two streams of a command, and what may be put on them. */
export interface Terminal {
  /** Writes a line of results to stdout. */
  out(text: string): void;
  /** Writes a line of progress or warnings to stderr. */
  note(text: string): void;
  /** Whether stdout is looked at by a person. */
  readonly isTerminal: boolean;
  /** Whether progress can be drawn over itself on stderr. */
  readonly drawsProgress: boolean;
  /** Colours for stdout; plain where nobody looks. */
  readonly colours: ReturnType<typeof pc.createColors>;
  /** Colours for stderr. */
  readonly noteColours: ReturnType<typeof pc.createColors>;
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      process.exit();
    });
  const isTerminal = process.stdout.isTTY === true;
  const drawsProgress = process.stderr.isTTY === true;
  const wanted = process.env.NO_COLOR === undefined;
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    note: (text) => void process.stderr.write(`${text}\n`),
    isTerminal,
    drawsProgress,
    colours: pc.createColors(isTerminal && wanted),
    noteColours: pc.createColors(drawsProgress && wanted),
  };
}

/** Text of a table on one line and without what a terminal would obey (escape sequences). */
export function plainText(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "\uFFFD");
}
