// Axes of a small chart: a box with ticks, numbers beside them, and the way from numbers to places in it.
import type { Canvas } from "./canvas.ts";
import { COLOURS } from "./panel.ts";

/** One side of a chart. */
export interface PlotSide {
  /** What the numbers are. */
  readonly title: string;
  readonly low: number;
  readonly high: number;
  readonly isLog?: boolean;
  /** Texts in the numbers' place, evenly spread: the numbers are their places. */
  readonly names?: readonly string[];
}

/** Where a chart lies, in units: the box without its numbers. */
export interface PlotBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Room beside and below the box for numbers and title. */
export const PLOT_MARGIN = { left: 52, bottom: 40 } as const;
const TICK_SIZE = 11;
const MOST_TICKS = 6;

/** Draws box, ticks and titles; the way of a point into the box comes back. */
export function drawAxes(
  canvas: Canvas,
  box: PlotBox,
  across: PlotSide,
  up: PlotSide,
): (x: number, y: number) => [number, number] {
  canvas.rectangle(box.x, box.y, box.width, box.height, "#fafbfc");
  const place = (x: number, y: number): [number, number] => [
    box.x + box.width * shareOf(x, across),
    box.y + box.height * (1 - shareOf(y, up)),
  ];
  for (const tick of ticksOf(up)) {
    const [, y] = place(across.low, tick);
    canvas.rectangle(box.x, y, box.width, 1, COLOURS.track);
    const style = {
      align: "right",
      size: TICK_SIZE,
      colour: COLOURS.muted,
      most: PLOT_MARGIN.left - 8,
    } as const;
    canvas.text(tickText(tick, up), box.x - 6, y - 8, style);
  }
  const ticks = ticksOf(across);
  for (const tick of ticks) {
    const [x] = place(tick, up.low);
    canvas.rectangle(x, box.y, 1, box.height, COLOURS.track);
    const most = across.names ? box.width / ticks.length - 6 : undefined;
    const style = { align: "centre", size: TICK_SIZE, colour: COLOURS.muted, ...(most && { most }) } as const;
    canvas.text(tickText(tick, across), x, box.y + box.height + 4, style);
  }
  canvas.rectangle(box.x, box.y + box.height, box.width, 1, COLOURS.muted);
  canvas.rectangle(box.x, box.y, 1, box.height, COLOURS.muted);
  canvas.text(across.title, box.x + box.width / 2, box.y + box.height + 21, { align: "centre" });
  canvas.text(up.title, box.x, box.y - 19, { colour: COLOURS.muted, size: TICK_SIZE });
  return place;
}

/** Where a number lies on its side, 0 to 1. */
function shareOf(value: number, { low, high, isLog }: PlotSide): number {
  if (!(low < high)) return 0.5;
  const share = isLog
    ? (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low))
    : (value - low) / (high - low);
  return Math.min(1, Math.max(0, share));
}

function ticksOf({ low, high, isLog, names }: PlotSide): number[] {
  if (names) return names.map((_, i) => i);
  if (!(low < high)) return [low];
  if (isLog) {
    const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
    const each = Math.max(1, Math.ceil((last - first + 1) / MOST_TICKS));
    const ticks: number[] = [];
    for (let power = first; power <= last; power += each) ticks.push(10 ** power);
    return ticks.length > 1 ? ticks : [low, high];
  }
  const step = niceStep((high - low) / MOST_TICKS);
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

/** The next larger of 1, 2 and 5 times a power of ten. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9)) ?? 10);
}

function tickText(value: number, { names }: PlotSide): string {
  if (names) return names[value] ?? "";
  const short = Number(value.toPrecision(4));
  const size = Math.abs(short);
  if (size === 0) return "0";
  return size < 1e-3 || size >= 1e5 ? short.toExponential().replace("e+", "e") : String(short);
}
