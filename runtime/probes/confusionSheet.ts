// A confusion matrix -> a picture: true classes down, predicted ones across, each row's share as a colour and
// the number of rows where there is room. Of many classes those with most rows are drawn.
import type { ClassReport } from "../../compiler/tasks/classEvaluation.ts";
import { confusionPairsOf } from "../../compiler/tasks/confusion.ts";
import { Canvas, type Colour } from "../drawing/canvas.ts";
import { COLOURS, nameWidth } from "../drawing/panel.ts";

const MARGIN = 20;
const HEADER = 46;
const MOST_CLASSES = 32;
/** Side of a cell, of few classes and of many. */
const [LARGE, SMALL] = [46, 24];
const FEW_CLASSES = 12;
const GAP = 2;
const NUMBER_SIZE = 11;
/** Share from which numbers are white on their colour. */
const DARK = 0.55;
const LEAST_WIDTH = 460;

/** The matrix of a report; `title` says of what. */
export async function drawConfusion(report: ClassReport, title: string): Promise<Buffer> {
  const pairs = confusionPairsOf(report) ?? [];
  const totals = new Map<number, number>();
  for (const [actual, , rows] of pairs) totals.set(actual, (totals.get(actual) ?? 0) + rows);
  const all = [...new Set(pairs.flatMap((pair) => pair.slice(0, 2)))];
  const most = all.toSorted((a, b) => (totals.get(b) ?? 0) - (totals.get(a) ?? 0)).slice(0, MOST_CLASSES);
  const classes = most.toSorted((a, b) => a - b);
  const names = classes.map((number) => report.classes[number] ?? "");
  const side = classes.length <= FEW_CLASSES ? LARGE : SMALL;
  const left = MARGIN + nameWidth(names) + 10;
  const right = left + classes.length * side + MARGIN;
  const width = Math.max(LEAST_WIDTH, right);
  const canvas = new Canvas(width, HEADER + (classes.length + 1) * side + MARGIN, COLOURS.panel, 2);
  const style = { colour: COLOURS.muted, most: width - 2 * MARGIN };
  canvas.text(title, MARGIN, MARGIN - 4, { size: 14, bold: true, most: width - 2 * MARGIN });
  const cut = all.length > classes.length ? `; the ${classes.length} classes with most rows` : "";
  const accuracy = `${report.accuracy.toFixed(3)} of ${report.labelled} rows are right`;
  canvas.text(`${accuracy}; true classes down, predicted across${cut}`, MARGIN, MARGIN + 17, style);
  const places = new Map(classes.map((number, place) => [number, place]));
  for (const [place, name] of names.entries()) {
    const y = HEADER + (place + 1) * side + (side - 16) / 2;
    canvas.text(`${place + 1}  ${name}`, left - 8, y, { align: "right", most: left - MARGIN - 8 });
    const middle = left + (place + 0.5) * side;
    canvas.text(String(place + 1), middle, HEADER + side - 18, { ...style, align: "centre" });
  }
  drawCells(canvas, { pairs, places, totals, left, side });
  return await canvas.toPng();
}

interface Cells {
  readonly pairs: NonNullable<ReturnType<typeof confusionPairsOf>>;
  readonly places: ReadonlyMap<number, number>;
  readonly totals: ReadonlyMap<number, number>;
  readonly left: number;
  readonly side: number;
}

function drawCells(canvas: Canvas, { pairs, places, totals, left, side }: Cells): void {
  const count = places.size;
  for (let row = 0; row < count; row++)
    for (let column = 0; column < count; column++)
      canvas.rectangle(
        left + column * side,
        HEADER + (row + 1) * side,
        side - GAP,
        side - GAP,
        COLOURS.track,
      );
  for (const [actual, predicted, rows] of pairs) {
    const [row, column] = [places.get(actual), places.get(predicted)];
    if (row === undefined || column === undefined) continue;
    const share = rows / (totals.get(actual) ?? rows);
    const [x, y] = [left + column * side, HEADER + (row + 1) * side];
    canvas.rectangle(x, y, side - GAP, side - GAP, mixed(share, row === column));
    const colour: Colour = share > DARK ? "#ffffff" : COLOURS.text;
    const style = { align: "centre", size: NUMBER_SIZE, colour, most: side - GAP } as const;
    canvas.text(String(rows), x + (side - GAP) / 2, y + (side - GAP) / 2 - 7, style);
  }
}

/** From the ground to blue for hits, to orange for confusions. */
function mixed(share: number, isHit: boolean): Colour {
  const [from, to] = [COLOURS.track, isHit ? COLOURS.train : "#b4560f"].map((colour) => [
    ...Buffer.from(colour.slice(1), "hex"),
  ]);
  const channels = (from ?? []).map((value, i) => Math.round(value + ((to?.[i] ?? 0) - value) * share));
  return `#${Buffer.from(channels).toString("hex")}`;
}
