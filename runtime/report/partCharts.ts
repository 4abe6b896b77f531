// The charts of parts that kinds list: predicted over true, counts in ranges, reliability. Part -> Html.
import type { HistogramPart, PointsPart, ReliabilityPart } from "../../compiler/tasks/reportParts.ts";
import { MUTED, nameAxis, numberText, valueAxis } from "./chartAxes.ts";
import type { ChartDrawer, ChartOption, ChartSize } from "./chartDrawer.ts";
import { figure, lineSeries, VALIDATION } from "./charts.ts";
import type { Html } from "./html.ts";

const SIZE: ChartSize = { width: 400, height: 300 };
const AREA = { left: 4, right: 14, top: 12, bottom: 4, outerBoundsMode: "same" } as const;
/** Room of an axis beyond its outermost points. */
const ROOM = 0.04;
/** Points that are drawn as one shape, so that a thousand take a few kilobytes. */
const LARGE = 60;
const QUIET = { silent: true, emphasis: { disabled: true } } as const;

/** What was predicted over what is true, and the line where they are one. */
export function pointsChart(drawer: ChartDrawer, part: PointsPart): Html {
  const all = part.points.flat();
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const room = (most - least || 1) * ROOM;
  const range = { min: least - room, max: most + room };
  const axis = (name: string, gap?: number): object => {
    const made = valueAxis(name, gap) as { readonly axisLabel: object };
    const axisLabel = { ...made.axisLabel, showMinLabel: false, showMaxLabel: false };
    return { ...made, ...range, axisLabel };
  };
  const ends = [{ coord: [range.min, range.min] }, { coord: [range.max, range.max] }];
  const option: ChartOption = {
    ...{ grid: AREA, xAxis: axis(part.xAxis), yAxis: axis(part.yAxis, NAME_GAP) },
    series: [
      {
        ...{ type: "scatter", ...QUIET, symbolSize: 5, large: true, largeThreshold: LARGE },
        ...{ itemStyle: { color: "var(--c1)", opacity: 0.6 }, data: part.points },
        markLine: straightLine(ends, "solid"),
      },
    ],
  };
  return figure(part, drawer.draw(option, SIZE, part.title));
}

const NAME_GAP = 40;

function straightLine(ends: readonly object[], type: "solid" | "dashed"): object {
  const lineStyle = { color: MUTED, type, width: 1 };
  return { silent: true, symbol: "none", label: { show: false }, lineStyle, data: [ends] };
}

/** Counts by ranges of a number. */
export function histogramChart(drawer: ChartDrawer, part: HistogramPart): Html {
  const middles = part.bins.map(({ from, to }) => {
    const middle = (from + to) / 2;
    return numberText(Math.abs(middle) < (to - from) / 4 ? 0 : middle);
  });
  const option: ChartOption = {
    ...{ grid: AREA, xAxis: nameAxis(part.axis, middles), yAxis: { ...valueAxis(), minInterval: 1 } },
    series: [
      {
        ...{ type: "bar", ...QUIET, barCategoryGap: "8%", itemStyle: { color: "var(--c1)" } },
        data: part.bins.map(({ rows }) => rows),
      },
    ],
  };
  return figure({ note: "images in each range", ...part }, drawer.draw(option, SIZE, part.title));
}

/** How often it was so, over how certain the model was; bars: how many answers have that certainty. */
export function reliabilityChart(drawer: ChartDrawer, part: ReliabilityPart): Html {
  const { bins, ece, rows } = part.reliability;
  const filled = bins.filter((bin) => bin.rows > 0);
  const share = { min: 0, max: 1, interval: 0.2 };
  const points = filled.map(({ certainty, hits }) => [certainty, hits] as const);
  const option: ChartOption = {
    grid: AREA,
    xAxis: { ...valueAxis("certainty"), ...share },
    yAxis: { ...valueAxis("share that is so", NAME_GAP), ...share },
    series: [
      {
        ...{ type: "bar", ...QUIET, barWidth: 14, itemStyle: { color: "var(--bar)" } },
        data: filled.map((bin) => [(bin.from + bin.to) / 2, bin.rows / rows]),
      },
      {
        ...lineSeries({ name: "", points, look: VALIDATION }),
        ...{ symbolSize: 7, showSymbol: true },
        markLine: straightLine([{ coord: [0, 0] }, { coord: [1, 1] }], "dashed"),
      },
    ],
  };
  const legend = [
    { name: `how often ${part.of}`, look: VALIDATION },
    { name: "share of the answers", look: { colour: "var(--bar)", dash: "solid", width: 8 } as const },
    { name: "perfectly calibrated", look: { colour: MUTED, dash: "dashed" } as const },
  ];
  const figures = `ECE ${numberText(ece)} (expected calibration error, ${bins.length} ranges) of ${rows} answers`;
  const note = part.note === undefined ? figures : `${figures}; ${part.note}`;
  const words = `${part.title}: ${figures}`;
  return figure({ title: part.title, note, legend }, drawer.draw(option, SIZE, words));
}
