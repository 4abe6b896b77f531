// What the panels of a sheet have in common: their form, title, colours and the way numbers are written.
import type { Canvas, Colour } from "./canvas.ts";

/** One panel: its content begins at (x, y) and is `height` high. */
export interface Panel {
  readonly title: string;
  /** A line of explanation below the title. */
  readonly note: string;
  readonly height: number;
  draw(canvas: Canvas, x: number, y: number): void;
}

export const PANEL_PADDING = 18;
const [LEAST_NAME, MOST_NAME] = [72, 230];
/** A character at the usual size, rather more than less. */
const CHARACTER = 7.6;
/** Title and note. */
export const TITLE_HEIGHT = 50;

/** Colours of the sheet; text on its ground has a contrast of 4.5 or more (WCAG AA). */
export const COLOURS = {
  background: "#eef0f3",
  panel: "#ffffff",
  text: "#1f2328",
  muted: "#57606a",
  track: "#e6e9ed",
  train: "#2f6db3",
  val: "#e08a1e",
  warning: "#b42318",
} as const satisfies Record<string, Colour>;

export function drawTitle(canvas: Canvas, { title, note }: Panel, x: number, y: number, width: number): void {
  canvas.text(title, x, y - 3, { size: 15, bold: true, most: width });
  canvas.text(note, x, y + 20, { colour: COLOURS.muted, most: width });
}

/** 12,345 */
export function countText(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** 1 row, 12,345 rows */
export function rowCount(rows: number): string {
  return rows === 1 ? "1 row" : `${countText(rows)} rows`;
}

/** Room for names, in units; what is longer is cut. */
export function nameWidth(names: readonly string[]): number {
  const longest = Math.max(...names.map((name) => name.length));
  return Math.min(MOST_NAME, Math.max(LEAST_NAME, CHARACTER * longest));
}
