// The key of the spec that names how the gradients of several tasks become one. A part of the section of a
// step. Methods and their numbers are in compiler/combine/.
import { z } from "zod";
import type { CombineMethod } from "../combine/combiner.ts";
import { COMBINE_METHODS, type ResolvedCombine } from "../combine/combiners.ts";
import { flag, phrase } from "./keyKinds.ts";

/** Names of the methods, in their order. */
export const COMBINE_NAMES: readonly string[] = [...COMBINE_METHODS.keys()];

const namesPhrase = `one of ${COMBINE_NAMES.map((name) => `"${name}"`).join(", ")}`;
const methodPhrase = `${namesPhrase}, or a map of method and its settings`;

/** A method as a map: its own numbers; `features` where it weighs gradients, `measure` where it need not. */
function schemaOf(method: CombineMethod) {
  const { name, settings } = method;
  const numbers = Object.entries(settings).map(([setting, { least, most, default: usual, doc }]) => {
    const expected = phrase(`a number from ${least} to ${most}`);
    return [
      setting,
      z.number(expected).min(least, expected).max(most, expected).default(usual).describe(doc),
    ];
  });
  const features = flag
    .default(false)
    .describe(
      "Work on the gradient at the shared features: one further backward pass in place of one by task.",
    );
  const measure = flag
    .default(false)
    .describe("Compute gradients by task all the same, to log how far they agree.");
  return z.strictObject({
    method: z.enum([name], phrase(namesPhrase)),
    ...Object.fromEntries(numbers),
    ...(method.kind === "gradients" ? { features } : {}),
    ...(method.kind === "losses" && method.measured ? { measure } : {}),
  });
}

const maps = [...COMBINE_METHODS.values()].map(schemaOf);
const named = z.enum(COMBINE_NAMES, phrase(methodPhrase));

/** Typed by hand: what the table of methods holds is no matter of types. */
const forms = z.union(
  [named.transform((method) => maps[COMBINE_NAMES.indexOf(method)]?.parse({ method })), ...maps],
  phrase(methodPhrase),
) as unknown as z.ZodType<ResolvedCombine, string | CombineMap>;

const combine = forms
  .prefault("sum")
  .describe(
    "How the tasks' gradients of what they share become one: the name of a method (`sum` adds them), or a map of " +
      "`method` and its settings.",
  );

/** A method and its settings as a spec gives them. */
type CombineMap = { readonly method: string } & Readonly<Record<string, string | number | boolean>>;

/** The key, which stands behind the weights of tasks. */
export const COMBINE_KEYS = { combine };

/** What others call it, and what says it here. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ...["uncertainty", "uw", "kendall", "adaptive"].map(
    (name) => [name, "weights learned by uncertainty are `task_weights: adaptive`"] as const,
  ),
  ...["ew", "equal", "none", "linear"].map((name) => [name, "that is `sum`, the default"] as const),
]);

/** What to write in place of a method's name that another library has. */
export function combineHint(name: string): string | undefined {
  return OTHER_NAMES.get(name.toLowerCase());
}

/** Which form of the key a map means: that of its method, any where there is no such method. */
export function combineVariant(value: object): number {
  return 1 + Math.max(0, COMBINE_NAMES.indexOf(methodOf(value)));
}

/** The keys that a map of a method may have. */
export function combineKeys(value: unknown): readonly string[] {
  const map = maps[COMBINE_NAMES.indexOf(methodOf(value))];
  return Object.keys(map?.shape ?? {});
}

/** Of the issues of a map those that count: without a method nobody knows its settings. */
export function methodIssues<Issue extends { readonly path: readonly PropertyKey[] }>(
  issues: readonly Issue[],
): readonly Issue[] {
  const ofMethod = issues.filter(({ path }) => path[0] === "method");
  return ofMethod.length > 0 ? ofMethod : issues;
}

function methodOf(value: unknown): string {
  return typeof value === "object" && value !== null && "method" in value ? String(value.method) : "";
}
