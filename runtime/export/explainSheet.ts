// Explanations of images -> one picture: each image as the network sees it, and beside it, for each task,
// where its answer comes from, with the answer below.
import { basename } from "node:path";
import sharp from "sharp";
import type { ModelMetadata } from "../../compiler/export/modelMetadata.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { Canvas, type Colour } from "../drawing/canvas.ts";
import { glowAt, heatOverlay, type Picture } from "../drawing/heatOverlay.ts";
import { COLOURS } from "../drawing/panel.ts";
import { numbersOver } from "../images/imageFormat.ts";
import type { Explanation } from "./predictor.ts";

/** What a sheet is told of the model. */
export interface ExplainedModel {
  readonly tasks: readonly Task[];
  readonly preprocessing: ModelMetadata["preprocessing"];
  /** By task, the class that was asked for. */
  readonly classes?: ReadonlyMap<string, string> | undefined;
}

/** Longest side of an image in the sheet. */
const SIDE = 168;
const GAP = 10;
const MARGIN = 20;
const HEAD_HEIGHT = 52;
/** Below an image: the task's name, and the answer. */
const CAPTION_HEIGHT = 38;
const LEGEND_WIDTH = 120;
const LEGEND_HEIGHT = 10;
const BACKGROUND: Colour = "#f6f7f9";
/** A sheet of fewer columns has no room for its title. */
const LEAST_WIDTH = 520;

/** One row of a sheet, drawn as the explanations come, so that no image is kept at full size. */
export interface SheetLine {
  readonly picture: Picture;
  readonly name: string;
  readonly maps: readonly { readonly picture: Picture; readonly task: string; readonly answer: string }[];
}

/** Draws an image's row. */
export async function explainLine(explanation: Explanation, model: ExplainedModel): Promise<SheetLine> {
  const picture = await shownPicture(explanation, model.preprocessing);
  const maps = explanation.answers.map(({ prediction, heatmap }) => {
    const form = model.tasks.find(({ name }) => name === prediction.task)?.answers;
    const wanted = model.classes?.get(prediction.task);
    const sure = form?.shown.probability?.(prediction);
    const answer = `${form?.shown.text(prediction) ?? ""}${sure === undefined ? "" : ` ${sure.toFixed(2)}`}`;
    return {
      picture: heatOverlay(picture, heatmap),
      task: wanted === undefined ? prediction.task : `${prediction.task}: for ${wanted}`,
      answer,
    };
  });
  return { picture, name: basename(explanation.file), maps };
}

/** The sheet as a PNG. */
export async function drawExplainSheet(title: string, lines: readonly SheetLine[]): Promise<Buffer> {
  const { width = 0, height = 0 } = lines[0]?.picture ?? {};
  const columns = Math.max(0, ...lines.map(({ maps }) => maps.length)) + 1;
  const whole = Math.max(LEAST_WIDTH, 2 * MARGIN + columns * (width + GAP) - GAP);
  const rowHeight = height + CAPTION_HEIGHT + GAP;
  const canvas = new Canvas(
    whole,
    MARGIN + HEAD_HEIGHT + lines.length * rowHeight - GAP + MARGIN,
    BACKGROUND,
    1,
  );
  drawHead(canvas, title, whole);
  for (const [row, { picture, name, maps }] of lines.entries()) {
    const top = MARGIN + HEAD_HEIGHT + row * rowHeight;
    canvas.image(MARGIN, top, picture.pixels, picture.width, picture.height);
    canvas.text(name, MARGIN, top + height + 4, { size: 12, most: width });
    for (const [column, map] of maps.entries()) {
      const left = MARGIN + (column + 1) * (width + GAP);
      canvas.image(left, top, map.picture.pixels, width, height);
      canvas.text(map.task, left, top + height + 4, { size: 11, colour: COLOURS.muted, most: width });
      canvas.text(map.answer, left, top + height + 19, { size: 12, bold: true, most: width });
    }
  }
  return await canvas.toPng();
}

function drawHead(canvas: Canvas, title: string, width: number): void {
  canvas.text(title, MARGIN, MARGIN - 4, { size: 15, bold: true, most: width - 2 * MARGIN });
  const top = MARGIN + 22;
  for (let x = 0; x < LEGEND_WIDTH; x++) {
    const colour = `#${Buffer.from(glowAt(x / (LEGEND_WIDTH - 1))).toString("hex")}` as const;
    canvas.rectangle(MARGIN + x, top, 1, LEGEND_HEIGHT, colour);
  }
  const note = "from where little speaks for the answer to where most does";
  const style = { size: 11, colour: COLOURS.muted, most: width - 3 * MARGIN - LEGEND_WIDTH };
  canvas.text(note, MARGIN + LEGEND_WIDTH + 8, top - 2, style);
}

/** The image as the network takes it, in colours, as large as the sheet shows it. */
async function shownPicture(
  { pixels: bytes, ...own }: Explanation,
  { height, width, channels, dtype, norm }: ModelMetadata["preprocessing"],
): Promise<Picture> {
  const count = channels < 3 ? 1 : 3;
  const copy = bytes.slice();
  const numbers = dtype === "uint8" ? copy : numbersOver(dtype, copy.buffer);
  const scale = dtype === "uint8" ? 1 : 255 / norm;
  const shown = Uint8ClampedArray.from(
    { length: own.height * own.width * count },
    (_, i) => (numbers[Math.floor(i / count) * channels + (i % count)] ?? 0) * scale,
  );
  const factor = SIDE / Math.max(height, width);
  const size = {
    width: Math.max(1, Math.round(width * factor)),
    height: Math.max(1, Math.round(height * factor)),
  };
  const pixels = await sharp(shown, { raw: { height: own.height, width: own.width, channels: count } })
    .resize(size.width, size.height, { fit: "fill", kernel: factor > 2 ? "cubic" : "lanczos3" })
    .toColourspace("srgb")
    .removeAlpha()
    .raw()
    .toBuffer();
  return { pixels, ...size };
}
