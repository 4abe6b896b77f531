// Gradients of every awkward kind, drawn.
import { randomFrom } from "../ops/sampleGraph.ts";
import { combine } from "./combinerRunner.ts";

export type Gradients = readonly (readonly number[])[];

/**
 * Gradients of `tasks` tasks, of a kind: common direction, sum of nearly 0, few numbers, uneven, repeated.
 */
export function drawAwkward(random: () => number, tasks: number, kind: number): number[][] {
  const draw = () => random() + random() + random() + random() - 2;
  const size = kind === 2 ? Math.max(2, tasks - 2) : 2 * tasks + 1;
  const rows = Array.from({ length: tasks }, () => Array.from({ length: size }, draw));
  const mean = combine(
    rows,
    rows.map(() => 1 / tasks),
  );
  const scales = rows.map(() => (kind === 3 ? Math.exp(4 * draw()) : 1));
  const share = [0, 2, 0, 0, 0, -0.97][kind] ?? 0;
  const drawn = rows.map((row, t) => row.map((value, n) => scales[t]! * (value + share * tasks * mean[n]!)));
  if (kind === 4) drawn[1] = drawn[0]!.map((value) => -1.5 * value);
  if (kind === 4 && tasks > 2) drawn[2] = [...drawn[0]!];
  return drawn;
}

/** Of these kinds gradients are independent. */
export const INDEPENDENT: readonly number[] = [0, 1, 3, 5];

export const STEPS = [2, 3, 4, 6, 9, 13, 40].flatMap((tasks) =>
  [0, 1, 2, 3, 4, 5].map((kind) => ({
    tasks,
    kind,
    gradients: drawAwkward(randomFrom(`${tasks} ${kind}`), tasks, kind),
  })),
);
