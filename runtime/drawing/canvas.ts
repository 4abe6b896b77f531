// A picture in memory: rectangles, images and lines of text -> a PNG. Places and sizes are in units of which
// `scale` make a pixel each way. Text is drawn by sharp (Pango), the rest here, since SVG is forbidden to a
// process that reads images.
import sharp from "sharp";
import { type DrawnText, TextDrawer, textWidth } from "./canvasText.ts";
import { markPng } from "./pngMark.ts";

/** #rrggbb. */
export type Colour = `#${string}`;

export interface TextStyle {
  /** Height of the letters' em, in units; default 12. */
  readonly size?: number;
  readonly bold?: boolean;
  readonly colour?: Colour;
  /** Where x lies in the text; default left. */
  readonly align?: "left" | "right" | "centre";
  /** Longer text is cut, and ends in an ellipsis; units. */
  readonly most?: number;
}

interface Queued {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly style: TextStyle;
}

type Four = [number, number, number, number];

const TEXT_COLOUR: Colour = "#1f2328";
const TEXT_SIZE = 12;
/** A canvas of fixed size; what is drawn later covers what was drawn before, and text covers all. */
export class Canvas {
  readonly #width: number;
  readonly #height: number;
  readonly #scale: number;
  readonly #pixels: Buffer;
  readonly #texts: Queued[] = [];
  readonly #drawer = new TextDrawer();

  constructor(width: number, height: number, background: Colour, scale = 1) {
    this.#scale = scale;
    this.#width = Math.ceil(width * scale);
    this.#height = Math.ceil(height * scale);
    this.#pixels = Buffer.alloc(this.#width * this.#height * 3);
    this.rectangle(0, 0, width, height, background);
  }

  rectangle(x: number, y: number, width: number, height: number, colour: Colour): void {
    const [left, right] = [this.#place(x, this.#width), this.#place(x + width, this.#width)];
    const [top, bottom] = [this.#place(y, this.#height), this.#place(y + height, this.#height)];
    if (right <= left || bottom <= top) return;
    const line = Buffer.alloc((right - left) * 3, Buffer.from(channelsOf(colour)));
    for (let row = top; row < bottom; row++) line.copy(this.#pixels, (row * this.#width + left) * 3);
  }

  /** A filled circle around (x, y). */
  disc(x: number, y: number, radius: number, colour: Colour): void {
    this.line(x, y, x, y, 2 * radius, colour);
  }

  /** A line with round ends, `width` units thick, its edges smooth. */
  line(x1: number, y1: number, x2: number, y2: number, width: number, colour: Colour): void {
    const [left, top, right, bottom] = [x1, y1, x2, y2].map((units) => units * this.#scale) as Four;
    const [dx, dy] = [right - left, bottom - top];
    const [reach, length] = [(width * this.#scale) / 2, dx * dx + dy * dy];
    const channels = channelsOf(colour);
    const [firstRow, lastRow] = [Math.min(top, bottom) - reach - 1, Math.max(top, bottom) + reach + 1];
    const [first, last] = [Math.min(left, right) - reach - 1, Math.max(left, right) + reach + 1];
    for (let row = Math.max(0, Math.floor(firstRow)); row < Math.min(this.#height, lastRow); row++)
      for (let column = Math.max(0, Math.floor(first)); column < Math.min(this.#width, last); column++) {
        const [x, y] = [column + 0.5 - left, row + 0.5 - top];
        const along = length > 0 ? Math.min(1, Math.max(0, (x * dx + y * dy) / length)) : 0;
        const coverage = reach + 0.5 - Math.hypot(x - along * dx, y - along * dy);
        if (coverage > 0) this.#mix(row, column, channels, Math.min(1, coverage));
      }
  }

  /** uint8 [height, width, 3] in pixels, its upper left corner at (x, y); what lies outside is left out. */
  image(x: number, y: number, pixels: Uint8Array, width: number, height: number): void {
    const [left, top] = [this.#place(x, this.#width), this.#place(y, this.#height)];
    const columns = Math.min(width, this.#width - left);
    for (let row = 0; row < Math.min(height, this.#height - top); row++)
      this.#pixels.set(
        pixels.subarray(row * width * 3, (row * width + columns) * 3),
        ((top + row) * this.#width + left) * 3,
      );
  }

  /** One line whose letters' box begins at y. */
  text(text: string, x: number, y: number, style: TextStyle = {}): void {
    if (text !== "") this.#texts.push({ text, x, y, style });
  }

  /** Draws the text and gives the PNG, which says that mttc drew it. */
  async toPng(): Promise<Buffer> {
    for (const { text, x, y, style } of this.#texts.splice(0)) {
      const { size = TEXT_SIZE, bold = false, align = "left", most = Number.POSITIVE_INFINITY } = style;
      const drawn = await this.#drawer.draw(text, size * this.#scale, bold, most * this.#scale);
      const share = { left: 0, centre: 0.5, right: 1 }[align];
      this.#blend(drawn, x * this.#scale - share * textWidth(drawn), y * this.#scale, style.colour);
    }
    const raw = { width: this.#width, height: this.#height, channels: 3 } as const;
    const png = await sharp(this.#pixels, { raw }).png({ compressionLevel: 9, palette: false }).toBuffer();
    return markPng(png);
  }

  #place(units: number, most: number): number {
    return Math.min(most, Math.max(0, Math.round(units * this.#scale)));
  }

  /** Lays colour where the text's mask is, by its coverage. */
  #blend({ mask, width, height, skip }: DrawnText, x: number, y: number, colour = TEXT_COLOUR): void {
    const channels = channelsOf(colour);
    const [left, top] = [Math.round(x) - skip, Math.round(y)];
    for (let row = Math.max(0, -top); row < Math.min(height, this.#height - top); row++)
      for (let column = Math.max(skip, -left); column < Math.min(width, this.#width - left); column++) {
        const coverage = (mask[row * width + column] ?? 0) / 255;
        this.#mix(top + row, left + column, channels, coverage);
      }
  }

  /** Lays colour on a pixel, which it covers to a share. */
  #mix(row: number, column: number, channels: readonly number[], coverage: number): void {
    const place = (row * this.#width + column) * 3;
    for (const [channel, value] of channels.entries()) {
      const before = this.#pixels[place + channel] ?? 0;
      this.#pixels[place + channel] = Math.round(before + (value - before) * coverage);
    }
  }
}

function channelsOf(colour: Colour): [number, number, number] {
  const [red = 0, green = 0, blue = 0] = Buffer.from(colour.slice(1), "hex");
  return [red, green, blue];
}
