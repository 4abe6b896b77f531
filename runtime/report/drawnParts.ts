// Parts that kinds list, drawn by their forms: tables, matrices, charts, rows of images. ReportPart -> Html.
import type {
  MatrixPart,
  ReportPart,
  RowsPart,
  ShownRow,
  TablePart,
} from "../../compiler/tasks/reportParts.ts";
import type { ChartDrawer } from "./chartDrawer.ts";
import { figure } from "./charts.ts";
import { dataUri, Html, html } from "./html.ts";
import { drawMatrixPicture } from "./matrixPicture.ts";
import { rowTotals } from "./matrixTotals.ts";
import { histogramChart, pointsChart, reliabilityChart } from "./partCharts.ts";

/** An image of a row, small; undefined where it cannot be read any more. */
export interface Thumbnail {
  readonly jpeg: Uint8Array | undefined;
  /** As it is shown: relative to the run's data. */
  readonly path: string;
}

/** What drawing takes beside a part. */
export interface PartTools {
  readonly drawer: ChartDrawer;
  readonly thumbnail: (row: number) => Promise<Thumbnail>;
}

/** Up to so many names a matrix is a table of cells; of more it is a picture. */
const TABLE_NAMES = 64;
/** Up to so many names the cells say their numbers. */
const NUMBERED_NAMES = 20;

export async function drawPart(part: ReportPart, tools: PartTools): Promise<Html> {
  switch (part.form) {
    case "table":
      return tableOf(part);
    case "matrix":
      return part.names.length <= TABLE_NAMES ? matrixTable(part) : await matrixPicture(part);
    case "reliability":
      return reliabilityChart(tools.drawer, part);
    case "points":
      return pointsChart(tools.drawer, part);
    case "histogram":
      return histogramChart(tools.drawer, part);
    case "rows":
      return await imageRows(part, tools);
  }
}

/** A table; shares have a bar behind their number. */
export function tableOf(part: Omit<TablePart, "form">): Html {
  if (part.rows.length === 0) return figure(part, html`<p class="empty">${part.empty}</p>`);
  const isRight = (column: number): boolean => part.right.includes(column);
  const cell = (text: string, column: number): Html => {
    const share = part.shares?.includes(column) ? Number(text) : Number.NaN;
    if (!Number.isFinite(share)) return html`<td${isRight(column) ? RIGHT : undefined}>${text}</td>`;
    return html`<td class="r share" style="--p:${percent(share)}%">${text}</td>`;
  };
  const head = part.head.map((name, column) => html`<th${isRight(column) ? RIGHT : undefined}>${name}</th>`);
  const rows = part.rows.map((row) => html`<tr>${row.map(cell)}</tr>`);
  const table = html`<table><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table>`;
  return figure(part, html`<div class="scroll">${table}</div>`);
}

const RIGHT = Html.trusted(' class="r"');

function percent(share: number): string {
  return (100 * Math.min(1, Math.max(0, share))).toFixed(0);
}

/** Cells as dark as their share of their row; each says what it is where the pointer rests. */
function matrixTable({ names, pairs, rowsAre, columnsAre, ...part }: MatrixPart): Html {
  const isNumbered = names.length <= NUMBERED_NAMES;
  const totals = rowTotals(pairs, names.length);
  const counts = new Map(pairs.map(([row, column, count]) => [row * names.length + column, count]));
  const cell = (row: number, column: number): Html => {
    const count = counts.get(row * names.length + column) ?? 0;
    if (count === 0) return row === column ? DIAGONAL_CELL : EMPTY_CELL;
    const share = count / (totals[row] ?? count);
    const words = `${names[row]} \u2192 ${names[column]}: ${count} (${percent(share)} %)`;
    const dark = share > MOST_SHARE ? " much most" : share > MUCH_SHARE ? " much" : "";
    const kind = `${row === column ? "hit" : "miss"}${dark}`;
    const number = isNumbered ? count : undefined;
    return html`<td class="${kind}" style="--s:${share.toFixed(2)}" title="${words}">${number}</td>`;
  };
  const head = names.map((name) => html`<th scope="col"><span>${name}</span></th>`);
  const rows = names.map(
    (name, row) => html`<tr><th scope="row">${name}</th>${names.map((_, column) => cell(row, column))}</tr>`,
  );
  const size = Html.trusted(isNumbered ? "matrix numbered" : "matrix");
  const table = html`<table class="${size}"><thead><tr><td></td>${head}</tr></thead><tbody>${rows}</tbody></table>`;
  const note = `rows: ${rowsAre}, columns: ${columnsAre}; stronger: a larger share of the row`;
  return figure({ ...part, note }, html`<div class="scroll">${table}</div>`);
}

const EMPTY_CELL = Html.trusted("<td></td>");
const DIAGONAL_CELL = Html.trusted('<td class="diagonal"></td>');
/** Shares of a row from which on its number has the other colour: in a dark page, in a light one. */
const [MUCH_SHARE, MOST_SHARE] = [0.6, 0.85];

async function matrixPicture(part: MatrixPart): Promise<Html> {
  const { names, rowsAre, columnsAre } = part;
  const picture = await drawMatrixPicture(part);
  const words = `${rowsAre} by ${columnsAre}, ${names.length} of each`;
  const note = `rows: ${rowsAre}, columns: ${columnsAre}, ${names.length} of each, in the order of the classes; stronger: a larger share of the row`;
  return figure(
    { title: part.title, note },
    html`<img class="matrix-picture" alt="${words}" src="${dataUri("image/png", picture)}">`,
  );
}

async function imageRows(part: RowsPart, { thumbnail }: PartTools): Promise<Html> {
  if (part.rows.length === 0) return figure(part, html`<p class="empty">${part.empty}</p>`);
  const cards = await Promise.all(part.rows.map(async (row) => imageCard(row, await thumbnail(row.row))));
  return figure(part, html`<div class="cards">${cards}</div>`);
}

function imageCard({ predicted, label, certainty, isRight }: ShownRow, { jpeg, path }: Thumbnail): Html {
  const picture =
    jpeg === undefined
      ? html`<div class="gone">not readable</div>`
      : html`<img alt="${path}" src="${dataUri("image/jpeg", jpeg)}">`;
  const answer = isRight
    ? html`<b class="right">${predicted}</b> ${certainty}`
    : html`<b class="wrong">${predicted}</b> ${certainty}<br>true: <b>${label}</b>`;
  return html`<div class="card">${picture}<div>${answer}</div><div class="path" title="${path}">${path}</div></div>`;
}
