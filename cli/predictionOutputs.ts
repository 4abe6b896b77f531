// Where the rows of `mttc predict` go: files, stdout, or the table that people read. Whatever stands in the
// way of a file is looked at before the first image.
import { extname } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { visibleLines, visibleText } from "../compiler/visibleText.ts";
import type { Prediction } from "../runtime/export/predictor.ts";
import {
  headOf,
  openStreamedFile,
  PARTIAL_SUFFIX,
  type StreamedFile,
} from "../runtime/files/streamedFile.ts";
import {
  type AnsweredTasks,
  BYTE_ORDER_MARK,
  cellOf,
  isFormula,
  jsonList,
  longCsv,
  type RowFormat,
  wideCsv,
} from "./predictionRows.ts";
import { streamedTable } from "./streamedTable.ts";
import { count, decimal } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** The options that say where rows go; `true` for an option without its file. */
export interface OutputFlags {
  readonly output?: string;
  readonly csv?: string | true;
  readonly json?: string | true;
  readonly wide?: boolean;
  readonly excel?: boolean;
  readonly strict?: boolean;
  readonly overwrite?: boolean;
}

/** All places that the rows go to. */
export interface Destinations {
  /** Whether all rows go to stdout. */
  readonly isOnStdout: boolean;
  /** Takes the rows of one image. */
  image(rows: readonly Prediction[]): Promise<void>;
  /** Ends everything well, and returns the names of the files. */
  finish(): Promise<string[]>;
  /** Ends everything as it is, and returns the names of the files with the rows so far. */
  abandon(): Promise<string[]>;
}

type Kind = "csv" | "json";
const STDOUT = "-";

/** Opens what the flags name. E_USAGE, E_RUN_EXISTS, E_FILE, E_DISK. */
export async function openDestinations(
  flags: OutputFlags,
  tasks: AnsweredTasks,
  names: readonly string[],
  terminal: Terminal,
): Promise<Destinations> {
  const wanted = wantedOutputs(flags);
  if (!flags.overwrite)
    for (const { file } of wanted.filter((output) => output.file !== STDOUT))
      for (const path of [file, `${file}${PARTIAL_SUFFIX}`]) await refuseForeign(path, tasks);
  const makers = wanted.map(({ kind, file }) => async (): Promise<Sink> => {
    const format = formatOf(kind, flags, tasks);
    return file === STDOUT ? stdoutSink(format, kind, terminal) : await fileSink(format, file, terminal);
  });
  if (makers.length === 0) makers.push(async () => tableSink(tasks, names, terminal));
  const formulas = new FormulaCount(
    tasks,
    wanted.some(({ kind }) => kind === "csv"),
  );
  const all = await Promise.all(makers.map((make) => (flags.strict ? heldBack(make) : make())));
  const each = async (end: (sink: Sink) => Promise<string | undefined>): Promise<string[]> => {
    const places: string[] = [];
    for (const sink of all) places.push(...[await end(sink)].filter((place) => place !== undefined));
    if (formulas.note !== undefined) terminal.note(formulas.note);
    return places;
  };
  return {
    isOnStdout: wanted.every(({ file }) => file === STDOUT),
    image: async (rows) => {
      formulas.look(rows);
      for (const sink of all) await sink.image(rows);
    },
    finish: () => each((sink) => sink.finish()),
    abandon: () => each((sink) => sink.abandon()),
  };
}

function wantedOutputs({ output, csv, json, wide, excel }: OutputFlags): { kind: Kind; file: string }[] {
  const named = (
    [
      ["csv", csv],
      ["json", json],
    ] as const
  ).flatMap(([kind, file]) => (typeof file === "string" ? [{ kind, file }] : []));
  const bare = (
    [
      ["csv", csv === true || ((wide || excel) && typeof csv !== "string")],
      ["json", json === true],
    ] as const
  )
    .filter(([, isWanted]) => isWanted)
    .map(([kind]) => kind);
  if (output === undefined) {
    if (bare.length > 1) throw usage("--csv and --json cannot both go to stdout");
    return [...named, ...bare.map((kind) => ({ kind, file: STDOUT }))];
  }
  const [kind = kindByName(output), other] = bare;
  if (other !== undefined) throw usage("--csv and --json cannot both go to one file");
  return [...named, { kind, file: output }];
}

function kindByName(file: string): Kind {
  const ending = extname(file).toLowerCase();
  if (ending === ".csv") return "csv";
  if (ending === ".json") return "json";
  throw usage(`${file} does not say what to write: add --csv or --json, or name it .csv or .json`);
}

function usage(message: string): MttcError {
  return new MttcError({ code: "E_USAGE", message });
}

function formatOf(kind: Kind, { wide = false, excel = false }: OutputFlags, tasks: AnsweredTasks): RowFormat {
  if (kind === "json") return jsonList(tasks);
  return wide ? wideCsv(tasks, excel) : longCsv(tasks, excel);
}

/** How the header of a CSV of predictions begins, whatever the kinds of its tasks. */
const LONG_HEAD = "file,task,";

/** Bytes in which a file of predictions is known. */
const HEAD_BYTES = 4096;

/** E_RUN_EXISTS where a file with content stands at `path` that does not begin as predictions do. */
async function refuseForeign(path: string, tasks: AnsweredTasks): Promise<void> {
  const head = await headOf(path, HEAD_BYTES);
  if (head === undefined || head.length === 0) return;
  const text = new TextDecoder().decode(head).replace(BYTE_ORDER_MARK, "");
  const wide = wideCsv(tasks, false).begin;
  const beginnings = [LONG_HEAD, wide, '[\n {\n  "file":', "[\n]"];
  if (beginnings.some((beginning) => text.startsWith(beginning) || beginning.startsWith(text))) return;
  const message = "exists already, and is not predictions by mttc";
  const hint = "choose another name, or replace it with --overwrite";
  throw new MttcError({ code: "E_RUN_EXISTS", message, at: { file: path }, hint });
}

interface Sink {
  image(rows: readonly Prediction[]): Promise<void>;
  finish(): Promise<string | undefined>;
  abandon(): Promise<string | undefined>;
}

async function fileSink(format: RowFormat, path: string, terminal: Terminal): Promise<Sink> {
  const file: StreamedFile = await openStreamedFile(path);
  await file.write(format.begin);
  let images = 0;
  return {
    image: async (rows) => {
      images++;
      await file.write(format.image(rows));
    },
    finish: async () => {
      await file.write(format.end);
      await file.finish();
      terminal.note(`rows of ${count(images)} images written to ${visibleText(path)}`);
      return path;
    },
    abandon: async () => {
      await file.abandon();
      return file.partialPath;
    },
  };
}

function stdoutSink(format: RowFormat, kind: Kind, terminal: Terminal): Sink {
  let begun = false;
  const put = (text: string): void => terminal.data(kind === "json" ? visibleLines(text) : text);
  const write = (text: string): void => {
    if (!begun) put(format.begin);
    begun = true;
    put(text);
  };
  const end = async (): Promise<undefined> => void write(format.end);
  return { image: async (rows) => write(format.image(rows)), finish: end, abandon: end };
}

/** Rows of the table that are printed at once. */
const TABLE_ROWS = 64;

function tableSink(tasks: AnsweredTasks, names: readonly string[], terminal: Terminal): Sink {
  const forms = new Map(tasks.map(({ name, answers }) => [name, answers.shown]));
  const isSure = tasks.some(({ answers }) => answers.shown.probability !== undefined);
  const columns = [
    { head: "file", cells: names },
    { head: "task", cells: tasks.map(({ name }) => name) },
    {
      head: [...new Set(tasks.map(({ answers }) => answers.shown.head))].join(" or "),
      cells: tasks.flatMap(({ answers }) => answers.shown.samples),
    },
    ...(isSure ? [{ head: "probability", cells: [decimal(1)], alignsRight: true }] : []),
  ];
  const cellsOf = (row: Prediction): string[] => {
    const form = forms.get(row.task);
    const sure = form?.probability?.(row);
    const probability = sure === undefined ? "" : decimal(sure);
    return [row.file, row.task, form?.text(row) ?? "", ...(isSure ? [probability] : [])];
  };
  const table = streamedTable(columns, terminal);
  let waiting: string[][] = [];
  const flush = (): void => {
    if (waiting.length > 0) terminal.out(table.rows(waiting));
    waiting = [];
  };
  const end = async (): Promise<undefined> => {
    flush();
    const last = table.end();
    if (last !== "") terminal.out(last);
  };
  return {
    image: async (rows) => {
      waiting.push(...rows.map(cellsOf));
      if (waiting.length >= TABLE_ROWS) flush();
    },
    finish: end,
    abandon: end,
  };
}

/** Nothing is opened or written before all is known to be well. */
function heldBack(make: () => Promise<Sink>): Sink {
  const held: (readonly Prediction[])[] = [];
  return {
    image: async (rows) => void held.push(rows),
    finish: async () => {
      const sink = await make();
      for (const rows of held) await sink.image(rows);
      return await sink.finish();
    },
    abandon: async () => undefined,
  };
}

/** Counts the cells that CSV gives an apostrophe, so that nobody wonders where it comes from. */
class FormulaCount {
  readonly #tasks: AnsweredTasks;
  readonly #counts: boolean;
  #found = 0;

  constructor(tasks: AnsweredTasks, counts: boolean) {
    this.#tasks = tasks;
    this.#counts = counts;
  }

  look(rows: readonly Prediction[]): void {
    if (!this.#counts) return;
    for (const row of rows) {
      const answers = this.#tasks.find(({ name }) => name === row.task)?.answers.values(row) ?? [];
      for (const cell of [row.file, row.task, ...answers.map(cellOf)])
        if (typeof cell === "string" && isFormula(cell)) this.#found++;
    }
  }

  get note(): string | undefined {
    if (this.#found === 0) return undefined;
    return `${count(this.#found)} cells begin with = + - or @, which spreadsheets compute: they have a ' in front`;
  }
}
