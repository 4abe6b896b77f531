// Whether a captured step (a CUDA graph's replay) gave what plain steps from the same state give: tensor by
// tensor, by what two plain ones differ by. CUDA adds atomically here and there, in whatever order, so that
// two plain steps may differ, too; within one step that is a matter of rounding.
import type { StateEntry } from "../../compiler/bundle/manifest.ts";
import type { HostTensor } from "../ort/ortHost.ts";

/** A captured step may differ from a plain one so many times as much as another plain one does. */
const NOISE_FACTOR = 10;
/** Where plain steps differ at all: less in a tensor, of its norm, is rounding even where they do not. */
const ROUNDING = 1e-6;
/** If half of the tensors differ by more between plain steps, a comparison with those says nothing. */
const MOST_NOISE = 1e-2;

/** What a step left: the state, and its sums of losses. */
export interface StepOutcome {
  readonly state: ReadonlyMap<string, HostTensor>;
  readonly losses: readonly number[];
}

/** Distances by tensor, the sums of losses among them as "losses". */
export type Distances = ReadonlyMap<string, number>;

/** What comparing a step showed: it fits, it does not and why, or nothing was changed that would tell. */
export type Verdict =
  | { readonly kind: "fits" | "unchanged" }
  | { readonly kind: "differs"; readonly how: string };

type Numbers = ArrayLike<number | bigint>;

/** How far the tensors of two outcomes are apart; 0 only for those that are equal to the bit. */
export function distancesOf(a: StepOutcome, b: StepOutcome): Distances {
  const distances = [...b.state].map(
    ([name, { data }]) => [name, relativeDistance(a.state.get(name)?.data ?? [], data)] as const,
  );
  return new Map([...distances, ["losses", relativeDistance(a.losses, b.losses)]]);
}

/**
 * Judges a captured step by its distances from a plain one, and by those of another plain one from it.
 * `before` is the state that all began with.
 */
export function judgeStep(
  entries: readonly StateEntry[],
  before: ReadonlyMap<string, HostTensor>,
  plain: StepOutcome,
  noise: Distances,
  found: Distances,
): Verdict {
  const exact = entries.filter(({ group }) => group === "counter" || group === "loss_scale");
  // A step that one of two plain runs left out, for it overflowed, is no measure for the third.
  if (exact.some(({ name }) => noise.get(name) !== 0)) return { kind: "unchanged" };
  const changed = entries.some(
    ({ name, group }) =>
      group === "parameter" &&
      relativeDistance(plain.state.get(name)?.data ?? [], before.get(name)?.data ?? []) > 0,
  );
  const wrong = exact.find(({ name }) => found.get(name) !== 0);
  if (wrong) return { kind: "differs", how: `${wrong.name} is another one` };
  if (!changed) return { kind: "unchanged" };
  const counted = new Set(exact.map(({ name }) => name));
  const ordered = [...noise].flatMap(([name, distance]) => (counted.has(name) ? [] : distance));
  ordered.sort((a, b) => a - b);
  const [median = 0, largest = 0] = [ordered[Math.floor(ordered.length / 2)], ordered.at(-1)];
  const tooMuch = largest === Number.POSITIVE_INFINITY ? largest : median;
  if (tooMuch > MOST_NOISE)
    return { kind: "differs", how: `plain steps differ by ${text(tooMuch)} among themselves` };
  const rounding = largest > 0 ? ROUNDING : 0;
  for (const [name, distance] of found) {
    const allowed = Math.max(NOISE_FACTOR * (noise.get(name) ?? 0), rounding);
    if (distance <= allowed) continue;
    const plainly = `plain ones by ${text(noise.get(name) ?? 0)}`;
    return { kind: "differs", how: `${name} differs by ${text(distance)} of its norm, ${plainly}` };
  }
  return { kind: "fits" };
}

function text(distance: number): string {
  return distance === 0 ? "nothing" : distance.toExponential(1);
}

/** |a - b| / |b| in the Euclidean norm (|a| where b is 0); Infinity where only one is a number. */
function relativeDistance(a: Numbers, b: Numbers): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let [gap, norm] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [Number(a[i]), Number(b[i])];
    if (!Object.is(x, y)) gap += (x - y) ** 2;
    if (Number.isFinite(y)) norm += y * y;
  }
  if (gap === 0) return 0;
  const distance = Math.sqrt(norm === 0 ? gap : gap / norm);
  return Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance;
}
