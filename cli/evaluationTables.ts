// Evaluation reports as text: a table of figures for each kind of task, and what tasks have beside figures.

import { figureOf, type TaskReport } from "../compiler/tasks/report.ts";
import type { Task } from "../compiler/tasks/task.ts";
import { visibleText } from "../compiler/visibleText.ts";
import type { EvaluationReport } from "../runtime/infer/evaluationReport.ts";
import { count, decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

type Style = Pick<Terminal, "isTerminal" | "colours">;
/** What is asked of a task here. */
export type ReportedTask = Pick<Task, "name" | "kind" | "reports">;

/** One line per task, figures beside their baselines; tasks of another kind have a table of their own. */
export function evaluationTable(
  report: EvaluationReport,
  tasks: readonly ReportedTask[],
  style: Style,
): string {
  return byKind(tasks)
    .map((alike) => {
      const columns = alike[0]?.reports.figures ?? [];
      const head = ["task", "labelled", "loss", ...columns.map(({ head: name }) => name)];
      const rows = alike.map(({ name }) => {
        const figures = report.tasks[name];
        return [
          name,
          count(figures?.labelled ?? 0),
          decimal(figures?.loss),
          ...columns.map((column) => decimal(figureOf(figures, column.name))),
        ];
      });
      return renderTable(
        style,
        head,
        rows,
        head.slice(1).map((_, i) => i + 1),
      );
    })
    .join("\n");
}

/** What a task's report holds beside figures, such as a confusion matrix: a text for each table. */
export function detailTexts({ name, reports }: ReportedTask, report: TaskReport, style: Style): string[] {
  return (reports.tables?.(report) ?? []).map(({ title, head, rows, right, empty }) => {
    const heading = style.colours.bold(`${visibleText(name)}: ${title}`);
    return `${heading}\n${rows.length === 0 ? empty : renderTable(style, head, rows, right)}`;
  });
}

/** The tasks of each kind together, in the order in which kinds appear. */
export function byKind<T extends Pick<Task, "kind">>(tasks: readonly T[]): T[][] {
  const kinds = new Map<string, T[]>();
  for (const task of tasks) kinds.set(task.kind, [...(kinds.get(task.kind) ?? []), task]);
  return [...kinds.values()];
}
