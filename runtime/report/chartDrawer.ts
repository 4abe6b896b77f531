// Charts as SVG, drawn here by ECharts without a browser; colours are the page's CSS variables, so that a
// chart is light or dark as the page is. ECharts is loaded when the first chart is drawn: no other command
// pays.
import { InternalError } from "../../compiler/diagnostics.ts";
import { Html, html } from "./html.ts";

/** What ECharts draws: the keys of its options, as its manual has them. */
export type ChartOption = Readonly<Record<string, unknown>>;

/** Size of a chart in its own units; the page scales it to its column. */
export interface ChartSize {
  readonly width: number;
  readonly height: number;
}

/** What of ECharts is used. */
interface Library {
  init(
    element: null,
    theme: null,
    options: ChartSize & { readonly renderer: "svg"; readonly ssr: true },
  ): {
    setOption(option: ChartOption): void;
    renderToSVGString(options: { readonly useViewBox: boolean }): string;
    dispose(): void;
  };
}

/** All of it in one file: as modules it takes five times as long to load. It has no types. */
const BUNDLE: string = "echarts/dist/echarts.esm.min.mjs";
/** What only a page with scripts needs: classes of hovered shapes, what takes the pointer. */
const UNUSED =
  / (?:class="zr\d+-cls-\d+"|pointer-events="visible"|xmlns:xlink="[^"]*"|baseProfile="full"|version="1\.1")/g;
/** Names of clipping paths, which count on over all charts of a process. */
const CLIP = /\bzr\d+-c(?=\d)/g;

export class ChartDrawer {
  readonly #library: Library;
  #drawn = 0;

  private constructor(library: Library) {
    this.#library = library;
  }

  static async load(): Promise<ChartDrawer> {
    const library = (await import(BUNDLE)) as Partial<Library>;
    if (library.init === undefined) throw new InternalError(`${BUNDLE} has no init`);
    return new ChartDrawer(library as Library);
  }

  /** The chart of an option as an SVG element; `label` says in words what it shows. */
  draw(option: ChartOption, size: ChartSize, label: string): Html {
    const chart = this.#library.init(null, null, { ...size, renderer: "svg", ssr: true });
    try {
      chart.setOption({ ...COMMON, ...option });
      const svg = chart.renderToSVGString({ useViewBox: true });
      this.#drawn++;
      const short = svg.replace(UNUSED, "").replace(CLIP, `chart${this.#drawn}-`);
      return html`<div class="chart" role="img" aria-label="${label}">${Html.trusted(short)}</div>`;
    } finally {
      chart.dispose();
    }
  }
}

const COMMON: ChartOption = {
  animation: false,
  textStyle: { fontFamily: "inherit", fontSize: 11 },
};
