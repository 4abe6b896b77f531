// The runs of a sweep: which values each takes. Point i is a function of (seed, axis, i) alone, so that a
// sweep of more runs begins with the same ones. Each point is checked before anything trains.
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec, SpecInput, SpecKey } from "../../compiler/spec/schema.ts";
import { RandomStream } from "../draws/randomStream.ts";
import type { Experiment } from "../train/experiment.ts";
import { type Axis, gridValues, valueAt } from "./sweptAxes.ts";

/** Values by the key of their axis. */
export type Point = Readonly<Record<string, unknown>>;

const MOST_RUNS = 10_000;
const MOST_FAULTS = 10;

/** `count` points drawn at random; of axes of few values, points that are drawn twice count once. */
export function randomPoints(axes: readonly Axis[], count: number, seed: number): Point[] {
  const points = new Map<string, Point>();
  // Lists may have fewer combinations than runs were asked for.
  for (let index = 0; points.size < count && index < count * DRAWS; index++) {
    const point = Object.fromEntries(
      axes.map((axis) => {
        const share = new RandomStream(seed, `sweep/${axis.key}`, 0, index).nextUniform();
        return [axis.key, valueAt(axis, share)];
      }),
    );
    const key = JSON.stringify(point);
    if (!points.has(key)) points.set(key, point);
  }
  return [...points.values()];
}

/** Draws for each point that is wanted, at most. */
const DRAWS = 20;

/** Every combination, the last axis fastest. E_USAGE where a range does not say how many points it has. */
export function gridPoints(axes: readonly Axis[]): Point[] {
  const open = axes.filter((axis) => gridValues(axis) === undefined).map(({ key }) => key);
  if (open.length > 0)
    throw new MttcError({
      code: "E_USAGE",
      message: `a grid needs to know how many points ${open.join(", ")} takes`,
      hint: "KEY=1e-4..1e-2:log:5  takes five",
    });
  const count = axes.reduce((product, axis) => product * (gridValues(axis)?.length ?? 1), 1);
  if (count > MOST_RUNS)
    throw new MttcError({ code: "E_USAGE", message: `the grid has ${count} runs, more than ${MOST_RUNS}` });
  return axes.reduce<Point[]>(
    (points, axis) =>
      points.flatMap((point) => (gridValues(axis) ?? []).map((value) => ({ ...point, [axis.key]: value }))),
    [{}],
  );
}

/**
 * The spec of each point. E_CONFIG with the faults of all points, each said once, and the values that it
 * comes of.
 */
export function specsOf(experiment: Experiment, points: readonly Point[]): Spec[] {
  const faults = new Map<string, Fault>();
  const specs: Spec[] = [];
  for (const point of points) {
    try {
      specs.push(resolveSpec(withValues(experiment.spec, point)));
    } catch (error) {
      if (!(error instanceof MttcError)) throw error;
      for (const fault of error.faults) {
        const key = `${fault.at?.path} ${fault.message}`;
        if (!faults.has(key))
          faults.set(key, { ...fault, message: `${fault.message} (${pointText(point)})` });
      }
    }
  }
  if (faults.size > 0) throw new MttcError([...faults.values()].slice(0, MOST_FAULTS));
  return specs;
}

/** Keys that a point writes, beside those of the experiment. */
export function givenKeys(experiment: Experiment, axes: readonly Axis[]): ReadonlySet<SpecKey> | undefined {
  const keys = axes.map(({ key }) => key.split(".")[0] as SpecKey);
  return experiment.given && new Set([...experiment.given, ...keys]);
}

function withValues(spec: Spec, point: Point): SpecInput {
  const changed = structuredClone(spec) as Record<string, unknown>;
  for (const [key, value] of Object.entries(point)) {
    const path = key.split(".");
    let place = changed;
    for (const name of path.slice(0, -1)) {
      const inner = place[name];
      // `augment: false` and the like become a map with the one entry.
      place[name] = typeof inner === "object" && inner !== null ? inner : {};
      place = place[name] as Record<string, unknown>;
    }
    place[path.at(-1) ?? ""] = value;
  }
  return changed as SpecInput;
}

/** "lr 0.001, shared_layers [64]". */
export function pointText(point: Point): string {
  return Object.entries(point)
    .map(([key, value]) => `${key} ${valueText(value)}`)
    .join(", ");
}

/** A value as tables show it. */
export function valueText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value).replaceAll(",", ", ");
}
