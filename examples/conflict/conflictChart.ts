// Two charts -> one PNG: red's loss over blue's, with the paths of runs and the front that none can pass; and
// the worse of two losses by epoch.
import { Canvas, type Colour } from "../../runtime/drawing/canvas.ts";
import { COLOURS } from "../../runtime/drawing/panel.ts";
import { drawAxes, PLOT_MARGIN, type PlotBox } from "../../runtime/drawing/plot.ts";
import { type ConflictRun, LEARNED, type Losses } from "./conflictRuns.ts";

type Place = (x: number, y: number) => [number, number];

const [WIDTH, HEIGHT, MARGIN, TOP, SCALE] = [980, 540, 24, 128, 1.5];
/** The paths' chart, of equal scales both ways, and the curves' chart beside it. */
const PATHS: PlotBox = { x: MARGIN + PLOT_MARGIN.left, y: TOP, width: 356, height: 356 };
const CURVES: PlotBox = { x: 568, y: TOP, width: WIDTH - 568 - MARGIN, height: 356 };
const MOST_LOSS = 1.3;
const LINE = 2.2;

/** By a run's name in the second chart, in the first by its first word: a method has one colour in both. */
const RUN_COLOURS: Readonly<Record<string, Colour>> = {
  sum: "#e08a1e",
  adaptive: "#8a5a00",
  upgrad: "#2f6db3",
  mgda: "#8e4bb0",
  cagrad: "#1b8a5a",
  famo: "#b42318",
  imtl: "#0f8f9c",
  "sum 1:1": "#57606a",
};

/** `runs`: those of the first network, each task alone among them; `best`: of the second, by method. */
export async function drawConflict(
  runs: readonly ConflictRun[],
  best: readonly (readonly ConflictRun[])[],
): Promise<Buffer> {
  const canvas = new Canvas(WIDTH, HEIGHT, COLOURS.panel, SCALE);
  canvas.text("One number for two tasks: where each ends", MARGIN, 14, { size: 15, bold: true });
  canvas.text("Two numbers, red counts ten times", CURVES.x - PLOT_MARGIN.left, 14, { size: 15, bold: true });
  const shared = runs.filter(({ path }) => path.every((losses) => !losses.some(Number.isNaN)));
  drawLegend(canvas, MARGIN, [...new Set(shared.map(({ name }) => wordOf(name)))]);
  drawLegend(
    canvas,
    CURVES.x - PLOT_MARGIN.left,
    best.flatMap(([run]) => run?.name ?? []),
  );
  drawPaths(canvas, runs, shared);
  drawCurves(canvas, best);
  return await canvas.toPng();
}

/** Names in rows of four beside their colours. */
function drawLegend(canvas: Canvas, left: number, names: readonly string[]): void {
  names.forEach((word, i) => {
    const [x, y] = [left + 104 * (i % 4), 46 + 22 * Math.floor(i / 4)];
    canvas.rectangle(x, y + 7, 22, 4, colourOf(word));
    canvas.text(word, x + 28, y, { bold: true });
  });
}

function drawPaths(canvas: Canvas, runs: readonly ConflictRun[], shared: readonly ConflictRun[]): void {
  const side = { low: 0, high: MOST_LOSS };
  const place = drawAxes(
    canvas,
    PATHS,
    { title: "loss of red on the validation images", ...side },
    { title: "loss of blue", ...side },
  );
  canvas.line(...place(0, 1), ...place(1, 0), 1.5, COLOURS.muted);
  canvas.text("none gets below this line", ...place(0.1, 0.42), { colour: COLOURS.muted, size: 11 });
  const ends = [0, 1].map((task) => {
    const alone = runs.find(({ path }) => path.every((losses) => Number.isNaN(losses[1 - task])));
    return alone?.path.at(-1)?.[task] ?? Number.NaN;
  });
  const corner = place(ends[0] ?? 0, ends[1] ?? 0);
  canvas.disc(...corner, 5, COLOURS.text);
  canvas.text("each alone", ...beside(corner, 10, -12), { size: 11 });
  for (const { name, path } of shared) drawLine(canvas, path, place, colourOf(wordOf(name)));
  for (const { name, path } of shared) {
    const last = path.at(-1);
    if (!last) continue;
    const end = inside(last, place);
    canvas.disc(...end, 6.5, COLOURS.panel);
    canvas.disc(...end, 5, colourOf(wordOf(name)));
    const weights = name.split(" ")[1];
    const style = { size: 11, bold: true, align: "right", colour: colourOf(wordOf(name)) } as const;
    if (wordOf(name) === "sum" && weights !== undefined) canvas.text(weights, ...belowLine(end), style);
  }
}

function drawCurves(canvas: Canvas, best: readonly (readonly ConflictRun[])[]): void {
  const high = Math.max(2, ...best.flatMap((runs) => runs.map(({ path }) => path.length)));
  const across = { title: "epoch", low: 1, high };
  const up = { title: "the worse of the two losses, three seeds each", low: 0, high: MOST_LOSS };
  const place = drawAxes(canvas, CURVES, across, up);
  canvas.line(...place(1, LEARNED), ...place(high, LEARNED), 1.5, COLOURS.muted);
  const style = { size: 11, colour: COLOURS.muted };
  canvas.text(`${LEARNED}: both are learned`, ...beside(place(1, LEARNED), 6, 5), style);
  for (const { name, path } of best.flat()) {
    const worse = path.map((losses, i): Losses => [i + 1, Math.max(...losses)]);
    drawLine(canvas, worse, place, colourOf(name));
  }
}

/** What lies beyond an axis is drawn at its end. */
function drawLine(canvas: Canvas, points: readonly Losses[], place: Place, colour: Colour): void {
  points.forEach((point, i) => {
    const before = points[i - 1];
    if (before) canvas.line(...inside(before, place), ...inside(point, place), LINE, colour);
  });
}

function inside([x, y]: Losses, place: Place): [number, number] {
  return place(x, Math.min(y, MOST_LOSS));
}

/** Where no path is: below the front, or, at the left edge, further down. */
function belowLine([x, y]: [number, number]): [number, number] {
  return x - PATHS.x > 30 ? [x - 9, y - 4] : [x + 18, y + 28];
}

function beside([x, y]: [number, number], right: number, down: number): [number, number] {
  return [x + right, y + down];
}

function wordOf(name: string): string {
  return name.split(" ")[0] ?? name;
}

function colourOf(name: string): Colour {
  return RUN_COLOURS[name] ?? COLOURS.text;
}
