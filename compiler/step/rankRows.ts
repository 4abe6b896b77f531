// How a micro-batch is shared between processes (ranks): in equal parts, so that one graph serves them all.
import { MttcError } from "../diagnostics.ts";
import type { StepSpec } from "../spec/schema.ts";

/**
 * Rows of a micro-batch that each of `ranks` processes takes. E_CONFIG unless they share it equally; the hint
 * has the nearest batch sizes that they would share.
 */
export function rowsPerRank(spec: Pick<StepSpec, "batch_size" | "accumulate">, ranks: number): number {
  const { batch_size: batch, accumulate } = spec;
  const parts = accumulate * ranks;
  if (batch % parts === 0) return batch / parts;
  const below = Math.floor(batch / parts) * parts;
  const nearest = [below, below + parts].filter((size) => size > 0);
  const micro = accumulate === 1 ? "" : ` and ${accumulate} micro-batches`;
  throw new MttcError({
    code: "E_CONFIG",
    message: `${batch} images cannot be shared equally by ${ranks} processes${micro}`,
    at: { path: "batch_size" },
    hint: `the nearest that can: ${nearest.join(" or ")}`,
  });
}
