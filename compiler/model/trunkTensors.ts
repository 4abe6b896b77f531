// What each tensor of a foreign network is: a parameter that training may change, a running statistic, or a
// number of the arithmetic that nothing may change. Decided by what reads it, by what the file says of it and
// by its numbers; a spec's `train` and `fixed` overrule by name. In: a graph whose shared numbers are
// separated (untying.ts); out: a judgement for each constant that could have been learned.
import { MttcError } from "../diagnostics.ts";
import { isPathOfModule, sourceOf, type TensorSources } from "../ir/tensorSource.ts";
import { elementCount, type Graph, type TensorData, type Value } from "../ir/types.ts";
import { nearestNames } from "../spec/nearestNames.ts";
import { isFixedFilter, isGrid, isMask, isResampling, isUniform } from "./numberPatterns.ts";
import type { ParameterRole } from "./parameters.ts";
import { isFilterPlace, isFunction, isSteering, placeOf, TensorUses, type Use } from "./tensorUses.ts";

/** What a constant of a trunk is. */
export interface TensorJudgement {
  readonly role: ParameterRole;
  /** Why it is never trained; absent for parameters and running statistics. */
  readonly fixedBecause?: string;
}

/** The spec's word against that of the file. */
export interface TensorNames {
  readonly train: readonly string[];
  readonly fixed: readonly string[];
}

/**
 * Judges the constants that are floats. E_CONFIG for a name in `names` that is no tensor, with the nearest
 * ones, that stands in both lists, or that means a statistic.
 */
export function judgeTensors(
  graph: Graph,
  sources: TensorSources,
  names: TensorNames = { train: [], fixed: [] },
): ReadonlyMap<Value, TensorJudgement> {
  const uses = new TensorUses(graph);
  const judged = new Map<Value, TensorJudgement>();
  for (const [value, data] of graph.constants) {
    if (data.dtype !== "float32" || uses.direct(value).length === 0) continue;
    judged.set(value, judge(value, data, uses, sources));
  }
  return overruled(judged, sources, names);
}

function judge(value: Value, data: TensorData, uses: TensorUses, sources: TensorSources): TensorJudgement {
  const final = uses.final(value);
  const places = final.map(placeOf).filter((place) => place !== undefined);
  const statistic = uses.direct(value).map(placeOf).find(isStatisticRole);
  if (statistic) return { role: statistic };
  const role = roleOf(data, final, places);
  const { kind } = sourceOf(sources, value.name);
  if (kind === "weight" || kind === "parameter") return { role };
  if (kind === "made") return { role, fixedBecause: "it comes from a layer's configuration or a formula" };
  const isStored = kind !== "constant";
  const reason = reasonOf({ value, data, uses, final, hasPlace: places.length > 0, isStored });
  if (reason === undefined && kind === "buffer" && !(places.length > 0 && isUniform(data)))
    return { role, fixedBecause: "the file marks it as a buffer, not a parameter" };
  return reason === undefined ? { role } : { role, fixedBecause: reason };
}

function isStatisticRole(role: ParameterRole | undefined): boolean {
  return role === "running_mean" || role === "running_var";
}

/** Kernels are what is as large as the place of a kernel that it ends in: a gain of filters is none. */
function roleOf(data: TensorData, final: readonly Use[], places: readonly ParameterRole[]): ParameterRole {
  const isKernel = final.some((use) => {
    const { shape } = use.node.inputs[use.index]?.type ?? { shape: [] };
    return placeOf(use) === "kernel" && elementCount(shape) === data.data.length && data.shape.length > 1;
  });
  if (isKernel) return "kernel";
  return places.find((place) => place !== "kernel" && !isStatisticRole(place)) ?? "bias";
}

interface Question {
  readonly value: Value;
  readonly data: TensorData;
  readonly uses: TensorUses;
  readonly final: readonly Use[];
  /** Whether it ends in a place where parameters stand. */
  readonly hasPlace: boolean;
  /** Whether it is stored, not written among the nodes. */
  readonly isStored: boolean;
}

/** Why a tensor is a number of the arithmetic; undefined where it was learned. */
function reasonOf(question: Question): string | undefined {
  const { data, final, hasPlace, isStored } = question;
  if (data.data.length === 0) return "it is empty";
  if (final.every(isSteering)) return "it only steers an operator";
  if (!isStored && (!hasPlace || isUniform(data))) return "it is written as a constant of the arithmetic";
  return patternOf(question) ?? (hasPlace ? undefined : arithmeticOf(question));
}

/** What the numbers themselves, and the place that they stand in, give away. */
function patternOf({ value, data, uses, final }: Question): string | undefined {
  const ends = final.map((use) => ({ use, place: placeOf(use) }));
  if (ends.some(({ place }) => place === "kernel")) {
    if (isFixedFilter(data)) return "its filters are those of a blur or an edge, not learned";
    const isMatrix = !ends.some(({ use }) => isFilterPlace(use));
    if (isMatrix && isResampling(data)) return "it is a matrix that resamples: its rows are means";
  }
  if (ends.every(({ use }) => uses.isOfGroups(use)) && isUniform(data))
    return "it stands for no scale or shift in a norm of groups";
  if (data.data.length < 2 || isCalledParameter(value.name)) return undefined;
  if (isMask(data)) return "it is a mask: two different numbers";
  return ends.every(({ place }) => place === undefined) && isGrid(data)
    ? "it counts in equal steps, as positions do"
    : undefined;
}

/** What no layer reads: means and deviations of pixels, single numbers of formulas. */
function arithmeticOf({ value, data, uses, final }: Question): string | undefined {
  if (final.every((use) => uses.isOnPixels(use))) return "it prepares the pixels, before the first layer";
  if (data.data.length > 1) return undefined;
  const direct = uses.direct(value);
  if (direct.every(({ node }) => isFunction(node))) return undefined;
  const isNamed = isPathOfModule(value.name);
  if (data.shape.length > 0)
    return isNamed ? undefined : "one number, which the file does not tell from one of a formula";
  const isFormula =
    direct.length > 1 || isGenerated(value.name) || direct.some((use) => uses.isUnderRoot(use));
  return isFormula && !isNamed ? "a number of a formula" : undefined;
}

/** Names of parameters everywhere: `blocks.0.mlp.bias`. */
function isCalledParameter(name: string): boolean {
  return /(^|\.)(weight|bias|gamma|beta)$/.test(name);
}

/** Names that exporters give to what has none: val_12, onnx::Mul_371, a/b/const:0, const_fold_opt__7. */
function isGenerated(name: string): boolean {
  return (
    !/^[A-Za-z_][\w.-]*$/.test(name) || /^(val|const|scalar|lifted|_?tensor_constant|_)\w*\d*$/i.test(name)
  );
}

function overruled(
  judged: ReadonlyMap<Value, TensorJudgement>,
  sources: TensorSources,
  names: TensorNames,
): ReadonlyMap<Value, TensorJudgement> {
  if (names.train.length + names.fixed.length === 0) return judged;
  const known = new Map<string, Value[]>();
  for (const value of judged.keys())
    for (const name of namesOf(value, sources)) known.set(name, [...(known.get(name) ?? []), value]);
  const result = new Map(judged);
  for (const key of ["train", "fixed"] as const)
    names[key].forEach((given, i) => {
      const name = given.replace(/^fcn\./, "");
      const path = `fcn.${key}[${i}]`;
      const values = known.get(given) ?? known.get(name);
      if (!values) {
        const hint = `the nearest names: ${nearestNames(name, [...known.keys()]).join(", ")}`;
        throw new MttcError({
          code: "E_CONFIG",
          message: `the fcn has no tensor "${given}"`,
          at: { path },
          hint,
        });
      }
      if (key === "fixed" && names.train.includes(given))
        throw new MttcError({ code: "E_CONFIG", message: `"${given}" is in train as well`, at: { path } });
      for (const value of values) {
        const { role } = judged.get(value) ?? { role: "bias" };
        if (isStatisticRole(role))
          throw new MttcError({ code: "E_CONFIG", ...statisticFault(given), at: { path } });
        result.set(
          value,
          key === "train" ? { role } : { role, fixedBecause: "the spec says so (fcn.fixed)" },
        );
      }
    });
  return result;
}

function statisticFault(name: string) {
  return {
    message: `"${name}" is a running statistic of a batch norm, which no gradient changes`,
    hint: "fcn.batchnorm says whether statistics follow the batches: train or frozen",
  };
}

/** The name of a tensor, and that of the one whose copy it is. */
function namesOf(value: Value, sources: TensorSources): readonly string[] {
  const { aliasOf } = sourceOf(sources, value.name);
  return aliasOf === undefined ? [value.name] : [value.name, aliasOf];
}
