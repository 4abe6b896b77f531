// Which probes run after which epoch: the spec's keys, or what a call of `fit` says in their place, checked
// against what there is to look at.
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { PROBE_KEYS } from "../../compiler/spec/probeKeys.ts";
import { type ProbeRuleSpec, probeFaults } from "../../compiler/spec/probeRules.ts";
import type { Spec } from "../../compiler/spec/schema.ts";

/** The keys that a call of `fit` may give. */
export const PROBE_OPTIONS = [
  "linear_probe",
  "rotation_test",
  "query_fig",
  "save_projections",
  "visualize_kernels",
  "log_fcn",
  "avpool",
] as const;
export type ProbeOption = (typeof PROBE_OPTIONS)[number];
export type ProbeSettings = Pick<Spec, ProbeOption>;
/** Values for one call of `fit`, in place of the spec's. */
export type ProbeOptions = { readonly [Key in ProbeOption]?: ProbeSettings[Key] | undefined };

/** Images beside the query where `query_fig` is true, as patchwork has it. */
const USUAL_NEAREST = 4;

/** What there is to be probed. */
export interface ProbeGround {
  readonly spec: Spec;
  readonly hasVal: boolean;
  /** Whether files are kept. */
  readonly hasLogdir: boolean;
}

/** The settings of a call; E_CONFIG with all faults, of values and of what they lack. */
export function probeSettings(ground: ProbeGround, options: ProbeOptions = {}): ProbeSettings {
  const { spec, hasVal, hasLogdir } = ground;
  const faults: Fault[] = [];
  const settings = Object.fromEntries(
    PROBE_OPTIONS.map((key) => {
      const given = options[key];
      if (given === undefined) return [key, spec[key]];
      const parsed = PROBE_KEYS[key].safeParse(given);
      if (!parsed.success)
        faults.push({
          code: "E_CONFIG",
          message: `expected ${parsed.error.issues[0]?.message}, found ${JSON.stringify(given)}`,
          at: { path: key },
        });
      return [key, parsed.success ? parsed.data : spec[key]];
    }),
  ) as unknown as ProbeSettings;
  const ruled: ProbeRuleSpec = { ...spec, ...settings };
  for (const { path, message, hint } of probeFaults(ruled))
    faults.push({ code: "E_CONFIG", message, at: { path: path.join(".") }, ...(hint ? { hint } : {}) });
  for (const key of ["rotation_test", "save_projections"] as const)
    if (settings[key] !== false && spec.downstream_labels === null && !hasVal)
      faults.push({
        code: "E_CONFIG",
        message: "there are no images to look at: neither downstream_labels nor val_labels",
        at: { path: key },
      });
  if (settings.log_fcn !== false && !hasLogdir)
    faults.push({
      code: "E_CONFIG",
      message: "nothing is kept without a logdir",
      at: { path: "log_fcn" },
    });
  if (faults.length > 0) throw new MttcError(faults);
  return settings;
}

/** Whether something happens after an epoch, from 1: every one, or every so many. */
export function isDue(howOften: boolean | number, epoch: number): boolean {
  return typeof howOften === "number" ? epoch % howOften === 0 : howOften;
}

/** Images beside each query; 0 for none. */
export function nearestCount(query: ProbeSettings["query_fig"]): number {
  if (typeof query === "number") return query;
  return query ? USUAL_NEAREST : 0;
}
