// The panels about several tasks: rows that two of them label (a map whose colour is a share of the training
// rows), and the labelled rows that a batch is expected to hold.
import { chanceText, LIKELY } from "../labels/chanceText.ts";
import type { LabelStatistics } from "../labels/labelStatistics.ts";
import type { Canvas, Colour } from "./canvas.ts";
import { COLOURS, countText, nameWidth, PANEL_PADDING, type Panel } from "./panel.ts";

/** Room for the number of a task. */
const NUMBER_WIDTH = 24;
const GAP = 10;
const ROW_HEIGHT = 24;
/** Cells of a map in which a number can be read. */
const NUMBER_CELL = 52;
const MOST_CELL = 76;
/** Share whose colour is so dark that numbers on it are white. */
const DARK = 0.7;
/** Tasks of a map; the first are shown. */
const MOST_TASKS = 30;

/** Which tasks are labelled together. */
export function togetherPanel({ together, batch, rows }: LabelStatistics, width: number): Panel {
  const tasks = batch.slice(0, MOST_TASKS).map(({ task }) => task);
  const names = nameWidth(tasks);
  const room = width - 2 * PANEL_PADDING - names - NUMBER_WIDTH - GAP;
  const cell = Math.min(MOST_CELL, Math.floor(room / tasks.length));
  const rowHeight = Math.min(cell, 30);
  const rest = batch.length > tasks.length ? `; the first ${tasks.length} tasks` : "";
  const head = ROW_HEIGHT;
  return {
    title: "Labelled together",
    note: `training rows that both tasks label; darker: a larger share of all rows${rest}`,
    height: head + tasks.length * rowHeight,
    draw: (canvas, x, y) => {
      const numbers = x + names + NUMBER_WIDTH;
      const left = numbers + GAP;
      tasks.forEach((task, a) => {
        const top = y + head + a * rowHeight;
        const middle = top + (rowHeight - 16) / 2;
        canvas.text(String(a + 1), left + (a + 0.5) * cell, y + 4, {
          align: "centre",
          colour: COLOURS.muted,
        });
        canvas.text(task, x + names, middle, { align: "right", most: names });
        canvas.text(String(a + 1), numbers, middle, { align: "right", colour: COLOURS.muted });
        tasks.forEach((_, b) => {
          const found = together[a]?.[b] ?? 0;
          const share = found / Math.max(1, rows.train);
          canvas.rectangle(left + b * cell, top, cell - 2, rowHeight - 2, shade(share));
          if (cell < NUMBER_CELL) return;
          const colour = share > DARK ? COLOURS.panel : COLOURS.text;
          const place = left + b * cell + (cell - 2) / 2;
          canvas.text(countText(found), place, middle - 1, { align: "centre", size: 11, colour });
        });
      });
    },
  };
}

/** From nearly white to the colour of training rows, darkened. */
function shade(share: number): Colour {
  const [from, to] = [
    [0xee, 0xf3, 0xf9],
    [0x1d, 0x4f, 0x8a],
  ];
  const mixed = from?.map((start, i) => Math.round(start + ((to?.[i] ?? 0) - start) * Math.min(1, share)));
  return `#${Buffer.from(mixed ?? []).toString("hex")}`;
}

/** What a batch holds of each task. */
export function batchPanel({ batch, batchSize }: LabelStatistics, width: number): Panel {
  return {
    title: `In a batch of ${countText(batchSize)}`,
    note: "labelled rows to expect of each task, and the chance that a batch has none",
    height: batch.length * ROW_HEIGHT,
    draw: (canvas, x, y) => {
      const names = nameWidth(batch.map(({ task }) => task));
      batch.forEach(({ task, perBatch, chanceOfNone }, row) => {
        const top = y + row * ROW_HEIGHT;
        const place = { x, y: top, inner: width - 2 * PANEL_PADDING, names };
        drawShare(canvas, place, task, perBatch / batchSize);
        const numbers = x + width - 2 * PANEL_PADDING;
        canvas.text(perBatch.toFixed(1), numbers - 120, top + 3, { align: "right", size: 11 });
        const colour = chanceOfNone > LIKELY ? COLOURS.warning : COLOURS.muted;
        const style = { align: "right", size: 11, colour } as const;
        canvas.text(`none: ${chanceText(chanceOfNone)}`, numbers, top + 3, style);
      });
    },
  };
}

function drawShare(
  canvas: Canvas,
  { x, y, inner, names }: Readonly<Record<"x" | "y" | "inner" | "names", number>>,
  task: string,
  share: number,
): void {
  const left = x + names + GAP;
  const width = inner - names - GAP - 164;
  canvas.text(task, x + names, y + 3, { align: "right", most: names });
  canvas.rectangle(left, y + 4, width, 14, COLOURS.track);
  canvas.rectangle(left, y + 4, Math.max(1, width * Math.min(1, share)), 14, COLOURS.train);
}
