// What a page shows of each task: figures in a table, curves, and the parts that its kind lists.
import { figureOf, type TaskReport } from "../../compiler/tasks/report.ts";
import type { ReportPart } from "../../compiler/tasks/reportParts.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { labelsByTask } from "../labels/classes.ts";
import type { EpochReport } from "../train/events.ts";
import { cellText, numberText } from "./chartAxes.ts";
import type { ChartDrawer } from "./chartDrawer.ts";
import { lineChart } from "./charts.ts";
import { gainOfTask, taskCurves } from "./curves.ts";
import { drawPart, type PartTools, type Thumbnail, tableOf } from "./drawnParts.ts";
import { type Html, html } from "./html.ts";
import type { LookedRows } from "./lookedRows.ts";

/** What sections of tasks are made of. */
export interface TaskSources {
  readonly tasks: readonly Task[];
  readonly history: readonly EpochReport[];
  /** Place of the best epoch in the history. */
  readonly best: number | undefined;
  readonly looked: LookedRows | undefined;
  readonly thumbnail: (row: number) => Promise<Thumbnail>;
}

/** Images of a list of rows: fewer where there are many tasks, so that the page stays small. */
const PAGE_IMAGES = 360;
const [LEAST_IMAGES, MOST_IMAGES] = [4, 12];

/** A table for each kind: tasks by figures of the best epoch, each beside its baseline. */
export function summaryTables({ tasks, history, best }: TaskSources): Html[] {
  const report = history[best ?? -1] ?? history.at(-1);
  const evaluation = report?.evaluation;
  if (!evaluation) return [];
  return byKind(tasks).map((alike) => {
    const columns = alike[0]?.reports.figures ?? [];
    const cells = alike.map((task) => {
      const figures = evaluation.tasks[task.name];
      return [
        ...[task.name, String(figures?.labelled ?? 0), cellText(gainOfTask(task, figures))],
        ...[cellText(figures?.loss ?? Number.NaN)],
        ...columns.map(({ name }) => cellText(figureOf(figures, name))),
      ];
    });
    const head = ["task", "labelled", "gain", "loss", ...columns.map(({ head: name }) => name)];
    return tableOf({
      title: alike.length === tasks.length ? "Tasks" : `Tasks (${alike[0]?.kind})`,
      note: `epoch ${report.epoch}, on ${evaluation.images} validation images; in brackets: what an answer that knows no image would reach`,
      ...{ head, rows: cells, right: head.map((_, i) => i).slice(1), empty: "" },
    });
  });
}

/** The tasks of each kind together, in the order in which kinds appear. */
export function byKind(tasks: readonly Task[]): Task[][] {
  const kinds = new Map<string, Task[]>();
  for (const task of tasks) kinds.set(task.kind, [...(kinds.get(task.kind) ?? []), task]);
  return [...kinds.values()];
}

/** The section of one task. */
export async function taskSection(
  drawer: ChartDrawer,
  sources: TaskSources,
  task: Task,
  id: string,
): Promise<Html> {
  const { history, best } = sources;
  const bestEpoch = best === undefined ? undefined : history[best]?.epoch;
  const curves = taskCurves(task, history).map((set) =>
    lineChart(drawer, { ...set, note: withValues(set, history, best), xAxis: "epoch", best: bestEpoch }),
  );
  const tools: PartTools = { drawer, thumbnail: sources.thumbnail };
  const parts = partsOf(sources, task);
  const drawn: Html[] = [];
  for (const part of parts) drawn.push(placed(await drawPart(part, tools), part));
  const { looked } = sources;
  const source =
    looked &&
    html`<p class="note">reliability and images: ${looked.model}, on ${looked.rows.paths.length} ${looked.split === "val" ? "validation" : "training"} images</p>`;
  return html`<section id="${id}"><h2>${task.name}<small>${task.width === 1 ? "" : `${task.width} `}${task.numbersAre}</small></h2>${source}
<div class="grid">${curves}${drawn}</div></section>`;
}

/** What an evaluation has kept of the best epoch (else of the newest that has any), and what rows say. */
function partsOf({ history, best, looked, tasks }: TaskSources, task: Task): ReportPart[] {
  const { parts, rowParts } = task.reports;
  const kept = [history[best ?? -1], history.at(-1)]
    .map((report) => report?.evaluation?.tasks[task.name])
    .filter((report): report is TaskReport => report !== undefined)
    .map((report) => parts?.(report) ?? [])
    .find((found) => found.length > 0);
  const served = looked?.served.get(task.name);
  const labels = looked && labelsByTask(looked.rows).get(task.name);
  const ofRows = served && labels ? (rowParts?.(served, labels.values) ?? []) : [];
  const most = Math.min(MOST_IMAGES, Math.max(LEAST_IMAGES, Math.floor(PAGE_IMAGES / (2 * tasks.length))));
  return [...(kept ?? []), ...ofRows].map((part) =>
    part.form === "rows" ? { ...part, rows: part.rows.slice(0, most) } : part,
  );
}

/** Columns of a table, and names of a matrix, that one column of the page has room for. */
const [NARROW_COLUMNS, NARROW_NAMES] = [4, 6];

function isBroad(part: ReportPart): boolean {
  if (part.form === "matrix") return part.names.length > NARROW_NAMES;
  return part.form === "table" && part.head.length > NARROW_COLUMNS;
}

/** A part in as many columns of the page as it needs. */
function placed(drawn: Html, part: ReportPart): Html {
  if (part.form === "rows") return html`<div class="wide">${drawn}</div>`;
  return isBroad(part) ? html`<div class="two">${drawn}</div>` : drawn;
}

/** A curve's note: what validation says at the best epoch and at the last. */
function withValues(
  { note, lines }: ReturnType<typeof taskCurves>[number],
  history: readonly EpochReport[],
  best: number | undefined,
): string {
  const shown = lines.find(({ name }) => name === "validation") ?? lines[0];
  const at = (place: number): string => numberText(shown?.points.at(place)?.[1] ?? Number.NaN);
  const values =
    best === undefined || best === history.length - 1
      ? `${shown?.name}: ${at(-1)}`
      : `${shown?.name}: ${at(best)} at the best epoch, ${at(-1)} at the last`;
  return note === undefined ? values : `${note}; ${values}`;
}
