// What `mttc evaluate` does: a run's newest checkpoint on its labels -> tables or JSON.
import { tasksOf } from "../compiler/bundle/manifestTasks.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { TrainedRun } from "../runtime/infer/trainedRun.ts";
import { detailTexts, evaluationTable } from "./evaluationTables.ts";
import { shownPath } from "./pathText.ts";
import { type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface EvaluateFlags extends RuntimeFlags {
  readonly json?: boolean;
}

/** Evaluates the run in `folder`, which the user named `given`. */
export async function evaluateRun(
  given: string,
  folder: string,
  flags: EvaluateFlags,
  terminal: Terminal,
): Promise<void> {
  await using run = await TrainedRun.open(folder, runtimeOptions(flags));
  const rows = await run.labels();
  for (const warning of [...run.warnings, ...rows.warnings]) terminal.note(visibleText(warning));
  const report = await run.evaluate(rows);
  const { path, epoch } = run.checkpoint;
  const labels = rows.split === "val" ? "validation" : "training";
  const table = rows.table ?? null;
  if (flags.json) {
    const used = { run: given, labels, table, checkpoint: path, epoch };
    terminal.out(JSON.stringify({ ...used, ...report }, null, 2));
    return;
  }
  const source = table === null ? "" : `, ${shownPath(table)}`;
  terminal.out(`${report.images} images of the ${labels} labels${source}`);
  terminal.out(`the model of ${shownPath(path)}`);
  const tasks = tasksOf(await run.manifest());
  terminal.out(evaluationTable(report, tasks, terminal));
  for (const task of tasks) {
    const figures = report.tasks[task.name];
    if (!figures || figures.labelled === 0) continue;
    for (const text of detailTexts(task, figures, terminal)) terminal.out(`\n${text}`);
  }
}
