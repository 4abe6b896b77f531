// The leading warps of augmentation on uint8 images, where the loader does them: flips, quarter turns and
// zooms of one image in one pass over its columns and one over its rows. augment.onnx is the definition; the
// result is within 1/255 of it.
import { augmentColumns } from "../../compiler/augment/augmentTable.ts";
import type { ImageSize } from "../../compiler/augment/operation.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import type { AugmentSettings } from "../../compiler/spec/augmentKeys.ts";
import { copyPixels, fixedTaps, resampleColumns, resampleRows, rowsRead } from "./warpPixels.ts";
import { SimdWarp } from "./warpSimd.ts";
import { type AxisTaps, centreTaps, composeTaps, cubicTaps, mirrorTaps } from "./warpTaps.ts";

/** What a row of parameters makes of an image: first transposed, then mirrored, then resampled. */
interface WarpPlan {
  readonly isTransposed: boolean;
  readonly mirrorsRows: boolean;
  readonly mirrorsColumns: boolean;
  /** Absent where nothing zooms. */
  readonly rows: AxisTaps | undefined;
  readonly columns: AxisTaps | undefined;
}

/** Warps images of one size; holds what the passes need between them. */
export class ImageWarp {
  /** Numbers in a row of parameters. */
  readonly rowLength: number;
  readonly #size: ImageSize;
  readonly #columns: readonly string[];
  readonly #between: Int16Array;
  readonly #simd: SimdWarp | undefined;

  /** `settings` holds the loader's operations alone. */
  constructor(settings: AugmentSettings, size: ImageSize) {
    this.#size = size;
    this.#columns = augmentColumns(settings);
    this.rowLength = this.#columns.length;
    this.#between = new Int16Array(size.height * size.width * size.channels);
    if (size.channels === 3 && "zoom_scale" in settings) this.#simd = new SimdWarp(size);
  }

  /**
   * Warps `source` into `target`, both uint8 [H,W,C] and not the same memory, by one row of parameters, as
   * drawAugmentRows draws it for the settings.
   */
  warp(source: Uint8Array, target: Uint8Array, row: Float32Array): void {
    const { height, width, channels } = this.#size;
    if (source.length !== this.#between.length || target.length !== source.length)
      throw new InternalError(`warps images of ${this.#between.length} bytes, not of ${source.length}`);
    const plan = planWarp(this.#columns, row, this.#size);
    const { isTransposed, mirrorsRows, mirrorsColumns } = plan;
    const clamped = new Uint8ClampedArray(target.buffer, target.byteOffset, target.length);
    if (!plan.rows || !plan.columns) {
      if (!isTransposed && !mirrorsRows && !mirrorsColumns) {
        target.set(source);
        return;
      }
      const rows = pixelNumbers(height, mirrorsRows);
      const columns = pixelNumbers(width, mirrorsColumns);
      // Rows of a transposed image are columns of the source.
      const read = isTransposed ? { rows: columns, columns: rows } : { rows, columns };
      copyPixels(source, clamped, channels, read, isTransposed);
      return;
    }
    const alongRows = mirrorsRows ? mirrorTaps(plan.rows) : plan.rows;
    const alongColumns = mirrorsColumns ? mirrorTaps(plan.columns) : plan.columns;
    const first = fixedTaps(isTransposed ? alongRows : alongColumns);
    const second = fixedTaps(isTransposed ? alongColumns : alongRows);
    if (this.#simd && first.count === 4 && second.count === 4) {
      this.#simd.resample(source, target, first, second, isTransposed);
      return;
    }
    resampleColumns(source, this.#between, channels, first, rowsRead(second));
    resampleRows(this.#between, clamped, channels, second, isTransposed);
  }
}

function pixelNumbers(size: number, isMirrored: boolean): Int32Array {
  return Int32Array.from({ length: size }, (_, i) => (isMirrored ? size - 1 - i : i));
}

function planWarp(columns: readonly string[], row: Float32Array, { height, width }: ImageSize): WarpPlan {
  const places = new Map(columns.map((name, i) => [name, i]));
  const has = (name: string): boolean => places.has(name);
  const parameter = (name: string): number => row[places.get(name) ?? -1] ?? 0;
  const isSet = (name: string): boolean => parameter(name) > 0.5;
  const isTransposed = isSet("rot90/transpose");
  const before = [isSet("flip_up_down/flip"), isSet("flip_left_right/flip")] as const;
  // A transposition exchanges what is mirrored along rows and along columns.
  const [rowsBefore, columnsBefore] = isTransposed ? [before[1], before[0]] : before;
  const zooms: (readonly [AxisTaps, AxisTaps])[] = [];
  if (has("zoom_scale/row"))
    zooms.push([
      cubicTaps(height, parameter("zoom_scale/row"), parameter("zoom_scale/height")),
      cubicTaps(width, parameter("zoom_scale/column"), parameter("zoom_scale/width")),
    ]);
  if (has("center_zoom_scale/margin")) {
    const margin = parameter("center_zoom_scale/margin");
    zooms.push([centreTaps(height, margin), centreTaps(width, margin)]);
  }
  const [one, other] = zooms;
  const composed =
    one && other ? ([composeTaps(other[0], one[0]), composeTaps(other[1], one[1])] as const) : one;
  return {
    isTransposed,
    mirrorsRows: rowsBefore !== isSet("rot90/flip_rows"),
    mirrorsColumns: columnsBefore !== isSet("rot90/flip_columns"),
    rows: composed?.[0],
    columns: composed?.[1],
  };
}
