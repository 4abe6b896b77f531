// A checkpoint's tensors beside those that a model's state consists of: what does not fit, a line for each
// part of the network.
import type { StateEntry } from "../../compiler/bundle/manifest.ts";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { averageName } from "../../compiler/step/averages.ts";
import { OPTIMIZERS } from "../../compiler/step/optimizers.ts";
import { slotName } from "../../compiler/step/update.ts";
import type { LoadedCheckpoint } from "./checkpoints.ts";

/** What is wrong with the tensors of one part: a phrase for each. */
interface PartFaults {
  readonly other: string[];
  readonly missing: string[];
  readonly extra: string[];
}

/** What any optimizer remembers of a parameter: the checkpoint may be of another one. */
const SLOTS: ReadonlySet<string> = new Set(Object.values(OPTIMIZERS).flatMap(({ slots }) => slots));

/** A checkpoint that fits no better is hardly worth more lines. */
const MOST_PARTS = 20;

/**
 * E_CKPT_MISMATCH unless the checkpoint has every tensor of `state` with its type, and no other ones; those
 * that `optional` names may be missing, or too many.
 */
export function refuseOtherTensors(
  state: readonly StateEntry[],
  { tensors, path }: Pick<LoadedCheckpoint, "tensors" | "path">,
  optional: ReadonlySet<string>,
): void {
  const parts = new Map<string, PartFaults>();
  const faultsOf = (part: string): PartFaults => {
    const faults = parts.get(part) ?? { other: [], missing: [], extra: [] };
    parts.set(part, faults);
    return faults;
  };
  // What is kept of a tensor, slots and an average, differs where the tensor does: that is no news.
  const told = new Set<string>();
  const tell = (name: string): void => {
    told.add(name);
    for (const slot of SLOTS) told.add(slotName(name, slot));
    told.add(averageName(name));
  };
  for (const { name, dtype, shape, part } of state) {
    const stored = tensors.get(name);
    const isSame = stored?.dtype === dtype && String(stored.shape) === String(shape);
    if (isSame || (!stored && optional.has(name)) || told.has(name)) continue;
    tell(name);
    if (!stored) faultsOf(part).missing.push(name);
    else
      faultsOf(part).other.push(
        `${name}: expected ${dtype}[${shape}], found ${stored.dtype}[${stored.shape}]`,
      );
  }
  const known = new Set(state.map(({ name }) => name));
  for (const name of tensors.keys()) {
    if (known.has(name) || optional.has(name) || told.has(name)) continue;
    tell(name);
    faultsOf(partOf(name, state)).extra.push(name);
  }
  if (parts.size > 0) throw new MttcError(faultList(parts, path));
}

function faultList(parts: ReadonlyMap<string, PartFaults>, file: string): Fault[] {
  const hint =
    "the checkpoint is of another network: go on with the spec and the model files that it was trained with, " +
    "or choose another `logdir`";
  const all = [...parts].map(([part, { other, missing, extra }]): Fault => {
    const phrases = [
      ...phrase(other, "of another type or shape"),
      ...phrase(missing, "missing"),
      ...phrase(extra, "not of this model"),
    ];
    return { code: "E_CKPT_MISMATCH", message: phrases.join("; "), at: { file, path: part } };
  });
  const shown = all.slice(0, MOST_PARTS);
  if (all.length > shown.length)
    shown.push({ code: "E_CKPT_MISMATCH", message: `${all.length - shown.length} more parts`, at: { file } });
  return shown.map((fault, i) => (i === shown.length - 1 ? { ...fault, hint } : fault));
}

/** "3 tensors are missing, such as shared_layers[0].kernel". */
function phrase(names: readonly string[], what: string): string[] {
  const [first] = names;
  if (first === undefined) return [];
  if (names.length === 1) return [`a tensor is ${what}: ${first}`];
  return [`${names.length} tensors are ${what}, such as ${first}`];
}

/**
 * The part whose tensors' names begin alike; that of a name that is unlike all of them, its first word. A
 * tensor that the model has not is known by its name alone, and this only groups lines of a message.
 */
function partOf(name: string, state: readonly StateEntry[]): string {
  const own = state.find(({ part }) => name.startsWith(`${part}.`) || name.startsWith(`${part}[`));
  return own?.part ?? /^(tasks\.[^.]+|[^.[/]+)/.exec(name)?.[0] ?? name;
}
