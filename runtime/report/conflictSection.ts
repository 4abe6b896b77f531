// Which tasks fight: the part of a report about the gradients of its tasks, in words, as a matrix and as
// curves.
import type { EpochReport } from "../logs/reports.ts";
import { cellText } from "./chartAxes.ts";
import type { ChartDrawer } from "./chartDrawer.ts";
import { figure, lineChart } from "./charts.ts";
import { tableOf } from "./drawnParts.ts";
import { Html, html } from "./html.ts";
import { type PageSection, section } from "./page.ts";
import {
  conflictSentences,
  cosineCurves,
  cosineText,
  normCurves,
  type TaskGradients,
  type TaskPair,
  taskGradients,
} from "./taskConflicts.ts";

/** Up to so many tasks cells say their number, and each has a line for its norm; of more a table has it. */
const [NUMBERED_TASKS, NORM_LINES] = [20, 12];
/** Up to so many tasks there is a matrix; of more only the pairs that are furthest apart. */
const MATRIX_TASKS = 64;
/** Pairs in a table in place of a matrix. */
const LISTED_PAIRS = 40;

/** Undefined where the run compared no gradients. */
export function conflictSection(
  drawer: ChartDrawer,
  history: readonly EpochReport[],
  tasks: readonly string[],
): PageSection | undefined {
  const found = taskGradients(history, tasks);
  if (!found) return undefined;
  const words = conflictSentences(found).map((sentence) => html`<li>${sentence}</li>`);
  const cosines = lineChart(drawer, { ...cosineCurves(found, history), xAxis: "epoch" });
  const norms =
    tasks.length <= NORM_LINES
      ? lineChart(drawer, { ...normCurves(found, history), xAxis: "epoch" })
      : undefined;
  const told = figure({ title: "In words" }, html`<ul class="warnings">${words}</ul>`);
  const matrix = tasks.length <= MATRIX_TASKS ? cosineMatrix(found) : pairTable(found);
  return section(
    "conflict",
    "Which tasks fight",
    html`<div class="grid">${told}<div class="two">${matrix}</div>${cosines}${norms}${normTable(found)}</div>`,
  );
}

/** Cells are blue where two tasks pull the same way and vermillion where they pull apart. */
function cosineMatrix({ tasks, pairs }: TaskGradients): Html {
  const isNumbered = tasks.length <= NUMBERED_TASKS;
  const byPlace = new Map<number, TaskPair>();
  for (const pair of pairs) {
    byPlace.set(pair.a * tasks.length + pair.b, pair);
    byPlace.set(pair.b * tasks.length + pair.a, pair);
  }
  const cell = (row: number, column: number): Html => {
    if (row === column) return html`<td class="diagonal"></td>`;
    const pair = byPlace.get(row * tasks.length + column);
    if (!pair) return html`<td title="${tasks[row]}, ${tasks[column]}: in no batch together"></td>`;
    const { cosine } = pair;
    const size = Math.abs(cosine);
    const dark = size > MOST_COSINE ? " much most" : size > MUCH_COSINE ? " much" : "";
    const kind = `${cosine < 0 ? "miss" : "hit"}${dark}`;
    const number = isNumbered ? cosineText(cosine) : undefined;
    const title = `${tasks[row]}, ${tasks[column]}: ${cosineText(cosine)}`;
    return html`<td class="${kind}" style="--s:${size.toFixed(2)}" title="${title}">${number}</td>`;
  };
  const head = tasks.map((name) => html`<th scope="col"><span>${name}</span></th>`);
  const rows = tasks.map(
    (name, row) => html`<tr><th scope="row">${name}</th>${tasks.map((_, column) => cell(row, column))}</tr>`,
  );
  const size = Html.trusted(isNumbered ? "matrix numbered" : "matrix");
  const table = html`<table class="${size}"><thead><tr><td></td>${head}</tr></thead><tbody>${rows}</tbody></table>`;
  const note =
    "mean cosine of each two tasks' gradients of what they share; vermillion: they pull apart, blue: the same way";
  return figure({ title: "Cosines", note }, html`<div class="scroll">${table}</div>`);
}

/** Cosines from which on a cell's number has the other colour: in a dark page, in a light one. */
const [MUCH_COSINE, MOST_COSINE] = [0.6, 0.85];

function pairTable({ pairs }: TaskGradients): Html {
  return tableOf({
    ...{ title: "Pairs that are furthest apart", note: `${LISTED_PAIRS} of ${pairs.length}` },
    head: ["task", "task", "mean cosine"],
    rows: pairs.slice(0, LISTED_PAIRS).map(({ names, cosine }) => [...names, cosineText(cosine)]),
    ...{ right: [2], empty: "" },
  });
}

/** Of each task its norm, the weight that it was combined with, and whom it fights most. */
function normTable({ tasks, pairs, norms, weights }: TaskGradients): Html {
  const isWeighed = weights.some(Number.isFinite);
  const rows = tasks.map((task, t) => {
    const worst = pairs.find(({ a, b }) => a === t || b === t);
    const other = worst?.names[worst.a === t ? 1 : 0];
    return [
      ...[task, cellText(norms[t] ?? Number.NaN)],
      ...(isWeighed ? [cellText(weights[t] ?? Number.NaN)] : []),
      ...(worst ? [cosineText(worst.cosine), other ?? "-"] : ["-", "-"]),
    ];
  });
  const head = ["task", "norm", ...(isWeighed ? ["weight"] : []), "least cosine", "with"];
  const right = isWeighed ? [1, 2, 3] : [1, 2];
  const note = "means over the epochs";
  return tableOf({ title: "Gradients by task", note, head, rows, right, empty: "" });
}
