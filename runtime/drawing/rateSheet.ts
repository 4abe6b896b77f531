// Losses over learning rates -> one PNG, with the rate that is proposed.
import { Canvas } from "./canvas.ts";
import { COLOURS } from "./panel.ts";
import { drawAxes, PLOT_MARGIN } from "./plot.ts";

const [WIDTH, HEIGHT, MARGIN, TOP, SCALE] = [760, 440, 24, 84, 2];

export interface RateCurve {
  readonly points: readonly { readonly rate: number; readonly loss: number; readonly smooth: number }[];
  /** Undefined where there is nothing to propose. */
  readonly proposed: number | undefined;
}

/** The sheet as a PNG; `title` names the spec. */
export async function drawRateSheet({ points, proposed }: RateCurve, title: string): Promise<Buffer> {
  const canvas = new Canvas(WIDTH, HEIGHT, COLOURS.panel, SCALE);
  const text =
    proposed === undefined ? "no rate to propose: the loss did not fall" : `proposed: lr ${proposed}`;
  canvas.text(title, MARGIN, 14, { size: 16, bold: true, most: WIDTH - 2 * MARGIN });
  canvas.text(text, MARGIN, 38, { colour: COLOURS.val, bold: true });
  const known = points.filter(({ smooth }) => Number.isFinite(smooth));
  const losses = known.map(({ smooth }) => smooth);
  // What breaks at the end would press all that is of use to the bottom.
  const first = losses[0] ?? 1;
  const [low, high] = [Math.min(...losses), Math.min(Math.max(...losses), 1.5 * first)];
  const room = Math.max((high - low) * 0.08, 1e-9);
  const box = {
    x: MARGIN + PLOT_MARGIN.left,
    y: TOP,
    width: WIDTH - 2 * MARGIN - PLOT_MARGIN.left,
    height: HEIGHT - TOP - PLOT_MARGIN.bottom - 12,
  };
  const rates = points.map(({ rate }) => rate);
  const place = drawAxes(
    canvas,
    box,
    { title: "learning rate", low: Math.min(...rates), high: Math.max(...rates), isLog: true },
    {
      title: "loss before each step (dots), and its mean over the steps around",
      low: low - room,
      high: high + room,
    },
  );
  for (const { rate, loss } of known)
    if (loss >= low - room && loss <= high + room) canvas.disc(...place(rate, loss), 1.6, "#b9c7d8");
  known.forEach(({ rate, smooth }, i) => {
    const before = known[i - 1];
    if (before) canvas.line(...place(before.rate, before.smooth), ...place(rate, smooth), 2, COLOURS.train);
  });
  if (proposed !== undefined) {
    const [x] = place(proposed, low);
    canvas.line(x, box.y, x, box.y + box.height, 1.5, COLOURS.val);
  }
  return await canvas.toPng();
}
