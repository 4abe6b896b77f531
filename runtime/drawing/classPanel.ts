// The bars of one task: labelled rows of each class or tag, the largest first, or of each range of numbers,
// in their order; training above validation.
import { need } from "../../compiler/diagnostics.ts";
import type { LabelStatistics } from "../labels/labelStatistics.ts";
import type { Canvas } from "./canvas.ts";
import { COLOURS, countText, nameWidth, PANEL_PADDING, type Panel, rowCount } from "./panel.ts";

/** Classes that have bars; of more the rest is told in words. */
const MOST_CLASSES = 24;
const ROW_HEIGHT = 20;
const NUMBER_WIDTH = 62;
const GAP = 10;

interface ClassBar {
  readonly name: string;
  readonly train: number;
  readonly val: number;
}

/** The panel of a task, `width` wide. */
export function classPanel(statistics: LabelStatistics, task: string, width: number): Panel {
  const { classes, train, val, tasks } = statistics;
  const { text, areClasses, areOrdered, labelled } = need(tasks[task], task);
  const bars = (classes[task] ?? []).map((name, i) => ({
    name,
    train: train[task]?.[i] ?? 0,
    val: val?.[task]?.[i] ?? 0,
  }));
  const sorted = areOrdered ? bars : bars.toSorted((a, b) => b.train - a.train || b.val - a.val);
  // One class more takes no more room than the words about it.
  const most = sorted.length > MOST_CLASSES + 1 ? MOST_CLASSES : sorted.length;
  const [shown, rest] = [sorted.slice(0, most), sorted.slice(most)];
  const validation = val ? `, ${countText(labelled.val)} to validate` : "";
  const lacking = areClasses ? bars.filter((bar) => bar.train === 0).length : 0;
  const without = lacking > 0 ? `; ${lacking} without a training row` : "";
  return {
    title: task,
    note: `${text}${without}; ${rowCount(labelled.train)} labelled to train${validation}`,
    height: (shown.length + (rest.length > 0 ? 1 : 0)) * ROW_HEIGHT,
    draw: (canvas, x, y) => {
      const inner = width - 2 * PANEL_PADDING;
      const names = nameWidth(shown.map(({ name }) => name));
      const largest = Math.max(1, ...bars.map((bar) => Math.max(bar.train, bar.val)));
      shown.forEach((bar, row) => {
        const place = { x, y: y + row * ROW_HEIGHT, inner, names, largest, hasVal: val !== null };
        drawBar(canvas, bar, { ...place, mustOccur: areClasses });
      });
      if (rest.length === 0) return;
      drawRest(canvas, rest, x + names + GAP, y + shown.length * ROW_HEIGHT, inner - names - GAP);
    },
  };
}

interface BarPlace {
  readonly x: number;
  readonly y: number;
  readonly inner: number;
  /** Width of the names' column. */
  readonly names: number;
  /** Rows that fill the whole width. */
  readonly largest: number;
  readonly hasVal: boolean;
  /** Whether no row at all is to be seen at once. */
  readonly mustOccur: boolean;
}

function drawBar(canvas: Canvas, bar: ClassBar, place: BarPlace): void {
  const { x, y, inner, names, largest, hasVal, mustOccur } = place;
  const left = x + names + GAP;
  const numbers = hasVal ? 2 * NUMBER_WIDTH : NUMBER_WIDTH;
  const width = inner - names - GAP - numbers;
  canvas.text(bar.name, x + names, y + 2, { align: "right", most: names });
  const long = (rows: number): number => (rows > 0 ? Math.max(1, (width * rows) / largest) : 0);
  canvas.rectangle(left, y + (hasVal ? 3 : 4), long(bar.train), hasVal ? 9 : 13, COLOURS.train);
  const number = (rows: number, right: number, colour: "text" | "muted"): void => {
    const style = {
      align: "right",
      colour: COLOURS[rows === 0 && mustOccur ? "warning" : colour],
      size: 11,
    } as const;
    canvas.text(countText(rows), right, y + 3, style);
  };
  number(bar.train, x + inner - numbers + NUMBER_WIDTH, "text");
  if (!hasVal) return;
  canvas.rectangle(left, y + 13, long(bar.val), 4, COLOURS.val);
  number(bar.val, x + inner, "muted");
}

/** The classes without bars, in words. */
function drawRest(canvas: Canvas, rest: readonly ClassBar[], x: number, y: number, inner: number): void {
  const rows = rest.map(({ train }) => train).sort((a, b) => a - b);
  const [most, least] = [rows.at(-1) ?? 0, rows[0] ?? 0];
  const total = rest.reduce((sum, { train }) => sum + train, 0);
  const each = most === least ? `${rowCount(most)} each` : `${countText(least)} to ${rowCount(most)} each`;
  const text = `and ${rest.length} more: ${each}, ${countText(total)} in all`;
  canvas.text(text, x, y + 2, { colour: COLOURS.muted, most: inner });
}
