// Colour jitter in the manner of SimCLR: four changes of colour in drawn order, clipped after each.
import type { Value } from "../ir/types.ts";
import { adjustContrast, adjustHue, adjustSaturation, drawFactor } from "./colours.ts";
import { type AugmentOperation, clip, drawBetween, drawInteger, type FragmentContext } from "./operation.ts";

const ROUNDS = 4;

/** The images after one change: 0 brightness, 1 contrast, 2 saturation, 3 hue, by the round's column. */
function jitterRound({ b, column }: FragmentContext, x: Value, round: number): Value {
  const isBefore = (change: number): Value =>
    b.emit("Less", [column(`change_${round}`), b.scalar(change - 0.5)]);
  const chosen = b.where(
    isBefore(2),
    b.where(isBefore(1), b.mul(x, column("brightness")), adjustContrast(b, x, column("contrast"))),
    b.where(isBefore(3), adjustSaturation(b, x, column("saturation")), adjustHue(b, x, column("hue"))),
  );
  return clip(b, chosen, 0, 1);
}

const jitter: AugmentOperation = {
  doc: "brightness, contrast and saturation by 0.8 of the strength, hue by 0.2 of it; four rounds, all computed",
  columns: ["change_0", "change_1", "change_2", "change_3", "brightness", "contrast", "saturation", "hue"],
  draw: (ctx) => {
    const order = [0, 1, 2, 3];
    for (let last = ROUNDS - 1; last > 0; last--) {
      const chosen = drawInteger(ctx, 0, last + 1);
      [order[last], order[chosen]] = [order[chosen] ?? 0, order[last] ?? 0];
    }
    const factors = [0, 1, 2].map(() => drawFactor(ctx, 0.8 * ctx.strength));
    return [...order, ...factors, drawBetween(ctx, -0.2 * ctx.strength, 0.2 * ctx.strength)];
  },
  emit: (ctx) => {
    let x = ctx.x;
    for (let round = 0; round < ROUNDS; round++) x = jitterRound(ctx, x, round);
    return x;
  },
};

export const JITTER = { jitter };
