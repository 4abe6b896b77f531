// A foreign ONNX file as a feature extractor: import -> transpositions of NHWC graphs out of the way ->
// cut. What specs with `fcn: extractor.onnx` go through.
import type { Graph } from "../../ir/types.ts";
import { OPS } from "../../ops/table.ts";
import { deadValues } from "../../passes/deadValues.ts";
import { identities } from "../../passes/identities.ts";
import { type Pass, runPasses } from "../../passes/pass.ts";
import { transposePushing } from "../../passes/transposePushing.ts";
import { axisRoles } from "./axisRoles.ts";
import { CLASS_TOKEN, cutTrunk } from "./cutTrunk.ts";
import { isPooled } from "./defaultCut.ts";
import { type ImportedModel, type ImportOptions, importModel, type Unread } from "./importModel.ts";

/** Passes that take the transpositions out of graphs for [N,H,W,C]. */
const TO_CHANNELS_FIRST: readonly Pass[] = [transposePushing, identities, deadValues];

export interface CutModel extends ImportedModel {
  /** One image input and one output, features [N,C,H,W], named `output`. */
  readonly graph: Graph;
  /** Name of the value that was cut at; that of the file where no transposition was moved. */
  readonly output: string;
}

/**
 * Imports a model up to `options.output`, or up to its last feature map. Throws what importModel and
 * cutTrunk throw.
 */
export function importTrunk(bytes: Uint8Array, options: ImportOptions): CutModel {
  const wantsToken = options.output === CLASS_TOKEN;
  const whole = wantsToken ? { ...options, output: undefined } : options;
  const model = importModel(bytes, { ...whole, isTrunk: true });
  const isLast = model.layout === "NHWC";
  const passes = { ops: OPS, allowOwnOps: false, stage: "import" };
  const graph = isLast ? runPasses(model.graph, TO_CHANNELS_FIRST, passes) : model.graph;
  const { unread } = model;
  if (unread?.fault && !isPooled(graph, axisRoles(graph, model.layout))) throw unread.fault;
  const named = options.output === undefined ? undefined : graph.outputs[0]?.name;
  const trunk = cutTrunk(graph, wantsToken ? CLASS_TOKEN : named, model.layout);
  return { ...model, ...trunk, notes: [...model.notes, ...trunk.notes, ...unreadNotes(unread)] };
}

/** What was not read lies behind the global pooling: a line says why. */
function unreadNotes(unread: Unread | undefined): string[] {
  const [fault] = unread?.fault?.faults ?? [];
  if (!fault) return [];
  const { message, at } = fault;
  return [`what cannot be read lies behind them and is not needed: ${at?.node ?? "a node"}: ${message}`];
}
