// A sweep -> one PNG: the gain of every run over the values of each axis, and the way there over the epochs.
import { Canvas, type Colour } from "../drawing/canvas.ts";
import { COLOURS } from "../drawing/panel.ts";
import { drawAxes, PLOT_MARGIN, type PlotBox, type PlotSide } from "../drawing/plot.ts";
import { pointText, valueText } from "./points.ts";
import { scoreOf } from "./scores.ts";
import type { SweepState } from "./sweepFolder.ts";
import type { Axis } from "./sweptAxes.ts";

const [WIDTH, MARGIN, GAP] = [1120, 28, 24];
const [HEADER, PANEL_HEIGHT, COLUMNS, SCALE] = [70, 300, 2, 2];
/** Runs that stopped early, and those that trained longer, to the best. */
const SHADES: readonly Colour[] = ["#b9c7d8", "#7fa3c7", "#2f6db3"];
const BEST: Colour = "#e08a1e";

/** The sheet as a PNG. */
export async function drawSweepSheet(state: SweepState): Promise<Buffer> {
  const { axes, runs } = state;
  const rows = Math.ceil((axes.length + 1) / COLUMNS);
  const canvas = new Canvas(WIDTH, HEADER + rows * (PANEL_HEIGHT + GAP), COLOURS.background, SCALE);
  const scores = runs.map(scoreOf);
  const top = scores.reduce(
    (first, score, i) => (score > (scores[first] ?? Number.NaN) ? i : first),
    firstOf(scores),
  );
  const finished = runs.filter(({ epochs }) => epochs >= state.epochs).length;
  const head = `${runs.length} runs, ${finished} of them trained for all ${state.epochs} epochs`;
  canvas.text(head, MARGIN, 16, { size: 17, bold: true, most: WIDTH - 2 * MARGIN });
  const winner = runs[top];
  if (winner) {
    const text = `best: run ${top + 1}, gain ${scores[top]?.toFixed(3)}: ${pointText(winner.point)}   (darker: trained longer)`;
    canvas.text(text, MARGIN, 42, { colour: COLOURS.muted, most: WIDTH - 2 * MARGIN });
  }
  const width = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS;
  const boxOf = (panel: number): PlotBox => {
    const [x, y] = [
      MARGIN + (panel % COLUMNS) * (width + GAP),
      HEADER + Math.floor(panel / COLUMNS) * (PANEL_HEIGHT + GAP),
    ];
    canvas.rectangle(x, y, width, PANEL_HEIGHT, COLOURS.panel);
    const [left, above] = [PLOT_MARGIN.left + 8, 32];
    const height = PANEL_HEIGHT - above - PLOT_MARGIN.bottom - 8;
    return { x: x + left, y: y + above, width: width - left - 20, height };
  };
  const gain = gainSide(runs.flatMap(({ gains }) => gains));
  axes.forEach((axis, panel) => {
    const place = drawAxes(canvas, boxOf(panel), sideOf(axis), gain);
    for (const index of bestLast(runs.length, top)) {
      const [run, score] = [runs[index], scores[index] ?? Number.NaN];
      if (!run || !Number.isFinite(score)) continue;
      const [x, y] = place(numberOf(axis, run.point[axis.key]), score);
      canvas.disc(x, y, index === top ? 6 : 4.5, COLOURS.panel);
      canvas.disc(x, y, index === top ? 5 : 3.5, index === top ? BEST : shadeOf(run.epochs, state.epochs));
    }
  });
  drawCurves(canvas, boxOf(axes.length), state, { gain, top });
  return await canvas.toPng();
}

function drawCurves(
  canvas: Canvas,
  box: PlotBox,
  { runs, epochs }: SweepState,
  { gain, top }: { readonly gain: PlotSide; readonly top: number },
): void {
  const side = { title: "epoch", low: 1, high: Math.max(2, epochs) };
  const place = drawAxes(canvas, box, side, gain);
  for (const index of bestLast(runs.length, top)) {
    const run = runs[index];
    const colour = index === top ? BEST : shadeOf(run?.epochs ?? 0, epochs);
    const points = (run?.gains ?? []).map((value, i) => place(i + 1, value));
    points.forEach(([x, y], i) => {
      const [fromX, fromY] = points[i - 1] ?? [x, y];
      if (Number.isFinite(y + fromY)) canvas.line(fromX, fromY, x, y, index === top ? 2.2 : 1.2, colour);
    });
  }
}

/** All places, that of the best run last, so that it lies on top. */
function bestLast(count: number, top: number): number[] {
  const places = Array.from({ length: count }, (_, i) => i);
  return [...places.filter((i) => i !== top), ...places.filter((i) => i === top)];
}

function firstOf(scores: readonly number[]): number {
  return Math.max(0, scores.findIndex(Number.isFinite));
}

function shadeOf(epochs: number, all: number): Colour {
  const step = Math.min(SHADES.length - 1, Math.floor((SHADES.length * epochs) / (all + 1e-9)));
  return SHADES[step] ?? COLOURS.train;
}

function gainSide(gains: readonly number[]): PlotSide {
  const known = gains.filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...known), Math.max(0.1, ...known)];
  // A run far below its baselines would press all others to the edge.
  return {
    title: "gain over the baselines (1: perfect)",
    low: Math.max(-1, low),
    high: Math.min(1, high * 1.05),
  };
}

function sideOf(axis: Axis): PlotSide {
  if ("values" in axis) {
    const names = axis.values.map(valueText);
    return { title: axis.key, low: -0.5, high: names.length - 0.5, names };
  }
  const { key, low, high, scale } = axis;
  return { title: key, low, high, isLog: scale === "log" };
}

function numberOf(axis: Axis, value: unknown): number {
  if (!("values" in axis)) return Number(value);
  const text = JSON.stringify(value);
  return axis.values.findIndex((each) => JSON.stringify(each) === text);
}
