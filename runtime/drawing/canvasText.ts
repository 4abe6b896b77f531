// Lines of text as masks of coverage, by sharp's text renderer (Pango, the system's sans-serif). Letters that
// are as high and as deep as any are drawn in front and skipped, so that all lines of a size have the same
// height and stand on the same line, whatever letters they have.
import sharp from "sharp";

/** Coverage 0 to 255 of a line, [height, width] in pixels; its first `skip` columns are not part of it. */
export interface DrawnText {
  readonly mask: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly skip: number;
}

/** Pixels per inch at which a point is a pixel. */
const POINT_DPI = 72;
const FRONT = "\u00C9j|\u2009";
const ELLIPSIS = "\u2026";
/** No line is longer; names of classes may be any text. */
const MOST_CHARACTERS = 300;

/** Draws lines; remembers how wide the letters in front are. */
export class TextDrawer {
  readonly #skips = new Map<string, number>();

  /** Text of `size` pixels, cut with an ellipsis where it would be wider than `most` pixels. */
  async draw(text: string, size: number, bold: boolean, most = Number.POSITIVE_INFINITY): Promise<DrawnText> {
    let characters = Array.from(plainText(text));
    let isCut = characters.length > MOST_CHARACTERS;
    if (isCut) characters = characters.slice(0, MOST_CHARACTERS);
    for (;;) {
      const shown = characters.join("").trimEnd() + (isCut ? ELLIPSIS : "");
      const drawn = await this.#render(shown, size, bold);
      const width = textWidth(drawn);
      if (width <= most || characters.length <= 1) return drawn;
      isCut = true;
      const fitting = Math.floor((characters.length * most) / width);
      characters = characters.slice(0, Math.max(1, Math.min(characters.length - 1, fitting)));
    }
  }

  async #render(text: string, size: number, bold: boolean): Promise<DrawnText> {
    const whole = await renderMask(FRONT + text, size, bold);
    return { ...whole, skip: Math.min(whole.width, await this.#skip(size, bold)) };
  }

  /** Where text begins behind the letters in front: at the ink of a bar there, less what precedes its ink. */
  async #skip(size: number, bold: boolean): Promise<number> {
    const key = `${size} ${bold}`;
    const known = this.#skips.get(key);
    if (known !== undefined) return known;
    const width = async (text: string): Promise<number> => (await renderMask(text, size, bold)).width;
    const [ink, two, front] = [await width("|"), await width("||"), await width(`${FRONT}|`)];
    const before = Math.ceil((two - ink - ink) / 2);
    const skip = front - ink - before;
    this.#skips.set(key, skip);
    return skip;
  }
}

/** Pixels that a line takes. */
export function textWidth({ width, skip }: DrawnText): number {
  return Math.max(0, width - skip);
}

/** Text on one line, without what markup cannot hold. */
function plainText(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ")
    .replace(/[\p{Cs}\uFFFE\uFFFF]/gu, "\uFFFD")
    .trim();
}

async function renderMask(text: string, size: number, bold: boolean): Promise<Omit<DrawnText, "skip">> {
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const marked = bold ? `<b>${escaped}</b>` : escaped;
  const font = `sans ${size}`;
  const { data, info } = await sharp({ text: { text: marked, font, dpi: POINT_DPI, rgba: true } })
    .extractChannel("alpha")
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { mask: data, width: info.width, height: info.height };
}
