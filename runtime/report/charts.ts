// Charts of lines: data -> an option of ECharts -> SVG with its legend. All colours are variables of
// the page (see pageStyle.ts); lines differ in dashes as well as in colour.
import { MUTED, valueAxis } from "./chartAxes.ts";
import type { ChartDrawer, ChartOption, ChartSize } from "./chartDrawer.ts";
import { type Html, html } from "./html.ts";

/** A line of a chart. */
export interface ChartLine {
  readonly name: string;
  /** By x; what is no number is left out. */
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly look: LineLook;
}

export interface LineLook {
  /** A CSS colour: a variable of the page. */
  readonly colour: string;
  readonly dash: "solid" | "dashed" | "dotted";
  readonly width?: number;
}

/** Training, validation and the baseline, everywhere the same. */
export const TRAIN: LineLook = { colour: "var(--c1)", dash: "dashed" };
export const VALIDATION: LineLook = { colour: "var(--c2)", dash: "solid", width: 2 };
export const BASELINE: LineLook = { colour: "var(--muted)", dash: "dotted" };

const COLOURS = 7;
const DASHES = ["solid", "dashed", "dotted"] as const;

/** Looks of lines that are told apart: colours first, then dashes. */
export function lookOf(place: number): LineLook {
  const dash = DASHES[Math.floor(place / COLOURS) % DASHES.length] ?? "solid";
  return { colour: `var(--c${1 + (place % COLOURS)})`, dash };
}

const SIZE: ChartSize = { width: 400, height: 220 };
/** Points of a line that get a mark each. */
const MARKED = 12;
/** Share of an axis near whose ends a centred word would reach beyond. */
const NEAR_END = 0.08;

export interface LineChart {
  readonly title: string;
  readonly note?: string | undefined;
  readonly lines: readonly ChartLine[];
  /** What x counts: "epoch". */
  readonly xAxis: string;
  /** x of the best epoch. */
  readonly best?: number | undefined;
  readonly isLog?: boolean;
}

/** Lines over epochs; nothing where no line has a number. */
export function lineChart(drawer: ChartDrawer, chart: LineChart): Html | undefined {
  const { title, note, lines, xAxis, best } = chart;
  const shown = lines.filter(({ points }) => points.some(([, y]) => Number.isFinite(y)));
  if (shown.length === 0) return undefined;
  const xs = shown.flatMap(({ points }) => points.map(([x]) => x));
  const [least, most] = [Math.min(...xs), Math.max(...xs)];
  const y = chart.isLog ? { ...valueAxis(), type: "log" } : { ...valueAxis(), scale: true };
  const option: ChartOption = {
    grid: { left: 4, right: 14, top: 20, bottom: 4, outerBoundsMode: "same" },
    xAxis: {
      ...valueAxis(xAxis),
      ...{ min: least, max: most === least ? least + 1 : most, minInterval: 1 },
      splitLine: { show: false },
    },
    yAxis: y,
    series: shown.map((line, i) => ({
      ...lineSeries(line),
      ...(i === 0 && best !== undefined
        ? { markLine: bestMark(best, (best - least) / (most - least || 1)) }
        : {}),
    })),
  };
  const words = `${title} by ${xAxis}: ${shown.map(({ name }) => name).join(", ")}`;
  return figure({ title, note, legend: shown.length > 1 ? shown : [] }, drawer.draw(option, SIZE, words));
}

export function lineSeries({ name, points, look }: ChartLine): object {
  const finite = points.filter(([, y]) => Number.isFinite(y));
  return {
    ...{ type: "line", name, silent: true, symbol: "circle", symbolSize: 4 },
    showSymbol: finite.length <= MARKED,
    sampling: "lttb",
    lineStyle: { color: look.colour, width: look.width ?? 1.5, type: look.dash },
    itemStyle: { color: look.colour },
    emphasis: { disabled: true },
    data: finite,
  };
}

/** `place` of the best epoch along the axis, from 0 to 1: its word stays inside the chart. */
function bestMark(best: number, place: number): object {
  const align = place < NEAR_END ? "left" : place > 1 - NEAR_END ? "right" : "center";
  return {
    ...{ silent: true, symbol: "none" },
    lineStyle: { color: MUTED, type: "dashed", width: 1 },
    label: { formatter: "best", color: MUTED, fontSize: 10, position: "end", distance: 3, align },
    data: [{ xAxis: best }],
  };
}

/** A chart with its title, a legend where it has several lines, and what it says in a sentence. */
export function figure(
  {
    title,
    note,
    legend = [],
  }: {
    readonly title: string;
    readonly note?: string | undefined;
    readonly legend?: readonly Pick<ChartLine, "name" | "look">[];
  },
  content: Html,
): Html {
  const entries = legend.map(
    ({ name, look }) =>
      html`<span class="key"><svg width="22" height="8" aria-hidden="true"><line x1="0" y1="4" x2="22" y2="4" stroke="${look.colour}" stroke-width="${look.width ?? 2}" stroke-dasharray="${DASH_ARRAYS[look.dash]}"/></svg>${name}</span>`,
  );
  return html`<figure><figcaption><b>${title}</b>${
    note === undefined ? undefined : html`<span class="note">${note}</span>`
  }</figcaption>${content}${
    entries.length > 0 ? html`<div class="legend">${entries}</div>` : undefined
  }</figure>`;
}

const DASH_ARRAYS = { solid: "none", dashed: "6 3", dotted: "2 2" } as const;
