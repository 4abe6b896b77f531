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
  conflictCurves,
  conflictSentences,
  cosineCurves,
  cosineText,
  normCurves,
  shareText,
  type TaskGradients,
  type TaskPair,
  taskGradients,
} from "./taskConflicts.ts";

/** Up to so many tasks cells say their number, and each has a line for its norm; of more a table has it. */
const [NUMBERED_TASKS, NORM_LINES] = [20, 12];
/** Matrices of more tasks are wider than a column of the page. */
const NARROW_TASKS = 4;
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
  const shares = lineChart(drawer, { ...conflictCurves(found, history), xAxis: "epoch" });
  const norms =
    tasks.length <= NORM_LINES
      ? lineChart(drawer, { ...normCurves(found, history), xAxis: "epoch" })
      : undefined;
  const told = figure({ title: "In words" }, html`<ul class="warnings">${words}</ul>`);
  const isCounted = found.pairs.some(({ conflict }) => Number.isFinite(conflict));
  const squares = [COSINES, ...(isCounted ? [SHARES] : [])].map((each) => matrixOf(found, each));
  const matrices = tasks.length > MATRIX_TASKS ? [pairTable(found)] : squares;
  const isNarrow = tasks.length <= NARROW_TASKS;
  const placed = isNarrow ? matrices : matrices.map((each) => html`<div class="two">${each}</div>`);
  return section(
    "conflict",
    "Which tasks fight",
    html`<div class="grid">${told}${placed}${cosines}${shares}${norms}${normTable(found)}</div>`,
  );
}

/** A square of pairs: what its cells say, how full they are, 0 to 1, and whether of what pulls apart. */
interface PairMatrix {
  readonly title: string;
  readonly note: string;
  readonly text: (pair: TaskPair) => string;
  readonly size: (pair: TaskPair) => number;
  readonly isApart: (pair: TaskPair) => boolean;
}

/** Cells are blue where two tasks pull the same way and vermillion where they pull apart. */
const COSINES: PairMatrix = {
  title: "Cosines",
  note: "mean cosine of each two tasks' gradients of what they share; vermillion: they pull apart, blue: the same way",
  text: ({ cosine }) => cosineText(cosine),
  size: ({ cosine }) => Math.abs(cosine),
  isApart: ({ cosine }) => cosine < 0,
};

const SHARES: PairMatrix = {
  title: "Steps that pull apart",
  note: "percent of the steps in which the cosine is below 0; about half where gradients have nothing to do with each other",
  text: ({ conflict }) => String(Math.round(100 * conflict)),
  size: ({ conflict }) => conflict,
  isApart: () => true,
};

function matrixOf({ tasks, pairs }: TaskGradients, { title, note, ...shown }: PairMatrix): Html {
  const isNumbered = tasks.length <= NUMBERED_TASKS;
  const byPlace = new Map<number, TaskPair>();
  for (const pair of pairs.filter((each) => Number.isFinite(shown.size(each)))) {
    byPlace.set(pair.a * tasks.length + pair.b, pair);
    byPlace.set(pair.b * tasks.length + pair.a, pair);
  }
  const cell = (row: number, column: number): Html => {
    if (row === column) return html`<td class="diagonal"></td>`;
    const pair = byPlace.get(row * tasks.length + column);
    if (!pair) return html`<td title="${tasks[row]}, ${tasks[column]}: in no batch together"></td>`;
    const [size, text] = [shown.size(pair), shown.text(pair)];
    const dark = size > MOST_FULL ? " much most" : size > MUCH_FULL ? " much" : "";
    const kind = `${shown.isApart(pair) ? "miss" : "hit"}${dark}`;
    const number = isNumbered ? text : undefined;
    const words = `${tasks[row]}, ${tasks[column]}: ${text}`;
    return html`<td class="${kind}" style="--s:${size.toFixed(2)}" title="${words}">${number}</td>`;
  };
  const head = tasks.map((name) => html`<th scope="col"><span>${name}</span></th>`);
  const rows = tasks.map(
    (name, row) => html`<tr><th scope="row">${name}</th>${tasks.map((_, column) => cell(row, column))}</tr>`,
  );
  const size = Html.trusted(isNumbered ? "matrix numbered" : "matrix");
  const table = html`<table class="${size}"><thead><tr><td></td>${head}</tr></thead><tbody>${rows}</tbody></table>`;
  return figure({ title, note }, html`<div class="scroll">${table}</div>`);
}

/** Fullness from which on a cell's number has the other colour: in a dark page, in a light one. */
const [MUCH_FULL, MOST_FULL] = [0.6, 0.85];

function pairTable({ pairs }: TaskGradients): Html {
  return tableOf({
    ...{ title: "Pairs that are furthest apart", note: `${LISTED_PAIRS} of ${pairs.length}` },
    head: ["task", "task", "mean cosine", "steps below 0"],
    rows: pairs
      .slice(0, LISTED_PAIRS)
      .map(({ names, cosine, conflict }) => [...names, cosineText(cosine), shareText(conflict)]),
    ...{ right: [2, 3], empty: "" },
  });
}

/** Of each task its norm, the weight that it was combined with, and whom it fights most. */
function normTable({ tasks, pairs, norms, weights }: TaskGradients): Html {
  const isWeighed = weights.some((weight) => Number.isFinite(weight) && weight !== 1);
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
