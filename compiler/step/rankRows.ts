// How a micro-batch is shared between processes (ranks): in equal parts, so that one graph serves them all.
import type { CombineSpec } from "../combine/combiners.ts";
import { MttcError } from "../diagnostics.ts";
import type { StepSpec } from "../spec/schema.ts";

/**
 * Rows of a micro-batch that each of `ranks` processes takes. E_CONFIG unless they share it equally; the hint
 * has the nearest batch sizes that they would share. E_CONFIG also where gradients are to be combined before
 * those of other processes are known.
 */
export function rowsPerRank(
  spec: Pick<StepSpec, "batch_size" | "accumulate"> & Partial<CombineSpec>,
  ranks: number,
): number {
  const { batch_size: batch, accumulate } = spec;
  if (ranks > 1 && spec.combine?.features === true)
    throw new MttcError({
      code: "E_CONFIG",
      message: `each of ${ranks} processes would weigh its own gradient at the features, before the others' are known`,
      at: { path: "combine.features" },
      hint: "take the line out: gradients by task add up over processes exactly",
    });
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
