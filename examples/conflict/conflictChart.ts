// Losses of two tasks by epoch, of runs beside each other -> one PNG.
import { Canvas, type Colour } from "../../runtime/drawing/canvas.ts";
import { COLOURS } from "../../runtime/drawing/panel.ts";
import { drawAxes, PLOT_MARGIN } from "../../runtime/drawing/plot.ts";

/** A run's validation loss of each task, epoch by epoch. */
export interface LossCurves {
  readonly method: string;
  readonly losses: Readonly<Record<string, readonly number[]>>;
}

const [WIDTH, HEIGHT, MARGIN, TOP, SCALE] = [860, 380, 24, 96, 1.5];
const CURVE_COLOURS: readonly Colour[] = [COLOURS.val, COLOURS.train];

/** A panel for each task, a line for each run; 1 is the loss of always answering the mean. */
export async function drawConflict(runs: readonly LossCurves[], title: string): Promise<Buffer> {
  const canvas = new Canvas(WIDTH, HEIGHT, COLOURS.panel, SCALE);
  canvas.text(title, MARGIN, 14, { size: 16, bold: true, most: WIDTH - 2 * MARGIN });
  runs.forEach(({ method }, i) => {
    const x = MARGIN + 150 * i;
    canvas.rectangle(x, 50, 22, 4, colourOf(i));
    canvas.text(`combine: ${method}`, x + 28, 43, { bold: true });
  });
  const tasks = Object.keys(runs[0]?.losses ?? {});
  const most = Math.max(1, ...runs.flatMap(({ losses }) => Object.values(losses).flat()));
  const width = (WIDTH - 2 * MARGIN) / tasks.length;
  tasks.forEach((task, at) => {
    const box = {
      x: MARGIN + at * width + PLOT_MARGIN.left,
      y: TOP,
      width: width - PLOT_MARGIN.left - 16,
      height: HEIGHT - TOP - PLOT_MARGIN.bottom - 8,
    };
    const epochs = Math.max(...runs.map(({ losses }) => losses[task]?.length ?? 0));
    const across = { title: "epoch", low: 1, high: epochs };
    const up = { title: `${task}: loss on the validation images`, low: 0, high: 1.05 * most };
    const place = drawAxes(canvas, box, across, up);
    const [, mean] = place(1, 1);
    canvas.line(box.x, mean, box.x + box.width, mean, 1, COLOURS.muted);
    canvas.text("always the mean", box.x + box.width - 4, mean - 17, {
      align: "right",
      colour: COLOURS.muted,
    });
    runs.forEach(({ losses }, i) => {
      drawCurve(canvas, losses[task] ?? [], place, colourOf(i));
    });
  });
  return await canvas.toPng();
}

function drawCurve(
  canvas: Canvas,
  losses: readonly number[],
  place: (x: number, y: number) => [number, number],
  colour: Colour,
): void {
  losses.forEach((loss, i) => {
    const before = losses[i - 1];
    if (before !== undefined) canvas.line(...place(i, before), ...place(i + 1, loss), 2.2, colour);
  });
}

function colourOf(run: number): Colour {
  return CURVE_COLOURS[run % CURVE_COLOURS.length] ?? COLOURS.text;
}
