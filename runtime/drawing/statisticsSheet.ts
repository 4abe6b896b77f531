// Statistics of labels -> one PNG: a panel of bars for each task, which tasks are labelled together, and what
// a batch holds of each. Of many classes or tasks the largest are drawn and the rest is put into words.
import type { LabelStatistics } from "../labels/labelStatistics.ts";
import { batchPanel, togetherPanel } from "./batchPanels.ts";
import { Canvas } from "./canvas.ts";
import { classPanel } from "./classPanel.ts";
import { COLOURS, drawTitle, PANEL_PADDING, type Panel, rowCount, TITLE_HEIGHT } from "./panel.ts";

const WIDTH = 1280;
const MARGIN = 24;
const GAP = 16;
const COLUMNS = 2;
const HEADER_HEIGHT = 56;
const LEGEND_CHARACTER = 7.4;
/** Pixels per unit: sharp on screens of high resolution, and when enlarged. */
const SCALE = 2;
/** Panels of classes; of more tasks the largest by labelled rows have one. */
const MOST_TASKS = 16;

/** The sheet as a PNG; `title` names the labels. */
export async function drawStatisticsSheet(statistics: LabelStatistics, title: string): Promise<Buffer> {
  const width = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS;
  const largest = statistics.batch.toSorted((a, b) => b.labelled - a.labelled).slice(0, MOST_TASKS);
  const shown = statistics.batch.filter((share) => largest.includes(share));
  const panels: Panel[] = [
    ...shown.map(({ task }) => classPanel(statistics, task, width)),
    ...(statistics.batch.length > 1 ? [togetherPanel(statistics, width)] : []),
    batchPanel(statistics, width),
  ];
  const ends = Array.from({ length: COLUMNS }, () => HEADER_HEIGHT + MARGIN);
  const places = panels.map((panel) => {
    const column = ends.indexOf(Math.min(...ends));
    const y = ends[column] ?? 0;
    ends[column] = y + panelHeight(panel) + GAP;
    return { panel, x: MARGIN + column * (width + GAP), y };
  });
  const canvas = new Canvas(WIDTH, Math.max(...ends) - GAP + MARGIN, COLOURS.background, SCALE);
  drawHeader(canvas, statistics, title, shown.length);
  for (const { panel, x, y } of places) {
    canvas.rectangle(x, y, width, panelHeight(panel), COLOURS.panel);
    drawTitle(canvas, panel, x + PANEL_PADDING, y + PANEL_PADDING, width - 2 * PANEL_PADDING);
    panel.draw(canvas, x + PANEL_PADDING, y + PANEL_PADDING + TITLE_HEIGHT);
  }
  return await canvas.toPng();
}

function panelHeight({ height }: Panel): number {
  return 2 * PANEL_PADDING + TITLE_HEIGHT + height;
}

function drawHeader(canvas: Canvas, statistics: LabelStatistics, title: string, shown: number): void {
  const { rows, val, test, batch } = statistics;
  canvas.text(title, MARGIN, MARGIN - 4, { size: 20, bold: true, most: WIDTH - 2 * MARGIN });
  const tasks = batch.length === 1 ? "1 task" : `${batch.length} tasks`;
  const rest = shown < batch.length ? ` (bars of the ${shown} with most labels)` : "";
  const toTest = test ? `, ${rowCount(rows.test)} to test` : "";
  const held = `${val ? `, ${rowCount(rows.val)} to validate` : ""}${toTest}`;
  const y = MARGIN + 28;
  const muted = { colour: COLOURS.muted, size: 13 };
  canvas.text(`${rowCount(rows.train)} to train${held}; ${tasks}${rest}`, MARGIN, y, muted);
  const legend = [
    { name: "train", colour: COLOURS.train },
    ...(val ? [{ name: "validation", colour: COLOURS.val }] : []),
  ];
  let right = WIDTH - MARGIN;
  for (const { name, colour } of legend.toReversed()) {
    canvas.text(name, right, y, { ...muted, align: "right" });
    right -= LEGEND_CHARACTER * name.length + 16;
    canvas.rectangle(right, y + 4, 11, 11, colour);
    right -= 20;
  }
}
