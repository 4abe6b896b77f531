// What `mttc evaluate` does: one of a run's checkpoints on labels of its own or of another table -> tables or
// JSON, and what it says of each image.
import { tasksOf } from "../compiler/bundle/manifestTasks.ts";
import { MttcError } from "../compiler/diagnostics.ts";
import { visibleText } from "../compiler/visibleText.ts";
import type { EvaluationChoice, EvaluationRows } from "../runtime/infer/evaluationLabels.ts";
import type { EvaluationReport } from "../runtime/infer/evaluationReport.ts";
import { TrainedRun } from "../runtime/infer/trainedRun.ts";
import { choiceText } from "../runtime/runs/checkpointChoice.ts";
import { readOptions } from "./checkpointFlag.ts";
import { detailTexts, evaluationTable } from "./evaluationTables.ts";
import { shownPath } from "./pathText.ts";
import type { OutputFlags } from "./predictionOutputs.ts";
import { writeRunPredictions } from "./runPredictions.ts";
import { type CheckpointFlags, type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface EvaluateFlags
  extends RuntimeFlags,
    CheckpointFlags,
    Pick<OutputFlags, "output" | "csv" | "wide" | "excel" | "overwrite"> {
  readonly test?: boolean;
  readonly labels?: string;
  readonly filepaths?: string;
  readonly imageRoot?: string;
  readonly json?: boolean;
}

/** What the rows of a split are called. */
const LABELS_ARE = {
  train: "the training labels",
  val: "the validation labels",
  test: "the test labels",
  other: "other labels",
} as const;

/** Evaluates the run in `folder`, which the user named `given`. */
export async function evaluateRun(
  given: string,
  folder: string,
  flags: EvaluateFlags,
  terminal: Terminal,
): Promise<void> {
  const choice = choiceOf(flags);
  await using run = await TrainedRun.open(folder, runtimeOptions(flags), readOptions(flags));
  const rows = await run.labels(choice);
  const tasks = tasksOf(await run.manifest());
  const scores = rows.absent.length < tasks.length;
  for (const warning of [...run.warnings, ...rows.warnings]) terminal.note(visibleText(warning));
  const writes = flags.output !== undefined || flags.csv !== undefined || flags.wide || flags.excel;
  if (scores && writes) refuseTwoResults(flags);
  if (writes || !scores) {
    const { json = false, ...others } = flags;
    const outputs = scores || !json ? others : { ...others, json: true as const };
    await writeRunPredictions(run, rows, { ...outputs, labels: flags.labels }, terminal);
  }
  if (scores) await report(given, run, rows, flags, terminal);
}

/** Which rows the flags name. E_USAGE for flags that do not go together. */
function choiceOf({ test, labels, filepaths, imageRoot }: EvaluateFlags): EvaluationChoice {
  const usage = (message: string): MttcError => new MttcError({ code: "E_USAGE", message });
  if (test && labels !== undefined)
    throw usage("--test is a table of the run's own, --labels another: give one");
  if (labels !== undefined) return { table: labels, filepaths, imageRoot };
  const loose =
    filepaths !== undefined ? "--filepaths" : imageRoot !== undefined ? "--image-root" : undefined;
  if (loose !== undefined)
    throw usage(`${loose} is of the table that --labels names: the run's own are read as it says`);
  return test ? { split: "test" } : {};
}

/** Figures go to stdout: predictions need a file then. */
function refuseTwoResults({ output, csv }: EvaluateFlags): void {
  if (csv !== "-" && (output !== undefined || typeof csv === "string")) return;
  throw new MttcError({
    code: "E_USAGE",
    message: "figures go to stdout, where predictions would go, too",
    hint: "-o FILE writes the predictions to a file",
  });
}

async function report(
  given: string,
  run: TrainedRun,
  rows: EvaluationRows,
  flags: EvaluateFlags,
  terminal: Terminal,
): Promise<void> {
  const figures = await run.evaluate(rows);
  if (flags.json) {
    terminal.out(reportJson(given, run, rows, figures));
    return;
  }
  const { table, split, absent } = rows;
  const source = table === undefined ? "" : `, ${shownPath(table)}`;
  terminal.out(`${figures.images} images of ${LABELS_ARE[split]}${source}`);
  terminal.out(`the model of ${shownPath(run.checkpoint.path)}`);
  terminal.out(choiceText(run.checkpoint.choice));
  const tasks = tasksOf(await run.manifest()).filter(({ name }) => !absent.includes(name));
  terminal.out(evaluationTable(figures, tasks, terminal));
  for (const task of tasks) {
    const ofTask = figures.tasks[task.name];
    if (!ofTask || ofTask.labelled === 0) continue;
    for (const text of detailTexts(task, ofTask, terminal)) terminal.out(`\n${text}`);
  }
}

function reportJson(given: string, run: TrainedRun, rows: EvaluationRows, figures: EvaluationReport): string {
  const { path, epoch, choice } = run.checkpoint;
  const labels = { train: "training", val: "validation", test: "test", other: "other" }[rows.split];
  const model = { checkpoint: path, epoch, best: choice.isBest };
  const used = { run: given, labels, table: rows.table ?? null, ...model };
  const absent = rows.absent.length > 0 ? { notScored: rows.absent } : {};
  return JSON.stringify({ ...used, ...absent, ...figures }, null, 2);
}
