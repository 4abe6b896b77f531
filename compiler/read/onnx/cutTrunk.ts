// Cuts a feature extractor out of a whole network: everything up to one value, which becomes the only output,
// as maps [N,C,H,W]. Without a name it is where defaultCut.ts says, before the global pooling and the
// classifier.
import { MttcError } from "../../diagnostics.ts";
import type { Graph, Value } from "../../ir/types.ts";
import { deadValues } from "../../passes/deadValues.ts";
import { nearestNames } from "../../spec/nearestNames.ts";
import { type AxisRoles, axisRoles } from "./axisRoles.ts";
import { defaultCut } from "./defaultCut.ts";
import { type FeaturePlace, featurePlace, withClassToken, withMaps } from "./featureMap.ts";

/** As `output`: the class token of a transformer alone, [N,C,1,1], in place of the map of its other tokens. */
export const CLASS_TOKEN = "class_token";

export interface Trunk {
  /** One image input, one output of four dimensions, named as the value that it comes from. */
  readonly graph: Graph;
  /** Name of the value that was cut at. */
  readonly output: string;
  /** Remarks for the log: where it was cut, and what shape that has. */
  readonly notes: readonly string[];
}

/**
 * The part of `graph` that `output` (a value's or an output's name, or "class_token") needs. E_MODEL_OUTPUT
 * for an unknown name, with the nearest ones, and where the network has no class token or would be cut at its
 * stem; E_MODEL_SHAPE unless the value is maps [N,C,H,W] or [N,H,W,C], or tokens [N,T,C], of the images'
 * batch, or if nothing fits.
 */
export function cutTrunk(graph: Graph, output?: string, layout: "NCHW" | "NHWC" = "NCHW"): Trunk {
  const roles = axisRoles(graph, layout);
  const named = output === undefined ? undefined : valueNamed(graph, output);
  const wantsToken = output === CLASS_TOKEN && !named;
  const { place, remarks } =
    output === undefined || wantsToken
      ? defaultCut(graph, roles)
      : { place: namedPlace(graph, roles, named ?? refuseName(graph, output)), remarks: [] };
  if (wantsToken && !place.before) refuseToken(place.value);
  const { value } = place;
  const rest = graph.nodes.length - withoutRest(graph, value).nodes.length;
  const cut = withoutRest(wantsToken ? withClassToken(graph, place) : withMaps(graph, place));
  const how = output === undefined ? "features are taken from" : "features are, as asked,";
  const left = rest === 0 ? "" : `; ${rest} nodes after it are left out`;
  const note = `${how} ${wantsToken ? "the class token of " : ""}"${value.name}": ${describe(place, wantsToken)}${left}`;
  return { graph: cut, output: value.name, notes: [note, ...remarks] };
}

function withoutRest(graph: Graph, value?: Value): Graph {
  const outputs = value ? [{ name: value.name, value }] : graph.outputs;
  return deadValues.run({ ...graph, outputs }, new Map());
}

function describe({ value, channels, grid, before }: FeaturePlace, isToken: boolean): string {
  const count = `${value.type.shape[channels]} channels`;
  if (isToken) return `${count} of 1x1`;
  const map = `${count} of ${grid.join("x")}`;
  const tokens = before === undefined ? "" : `, made of ${grid[0] * grid[1]} tokens`;
  if (!before) return `${map}${tokens}`;
  return `${map}${tokens}; the ${before === 1 ? "one" : before} before them (class, register) left out`;
}

function valueNamed(graph: Graph, name: string): Value | undefined {
  const values = graph.nodes.flatMap((node) => node.outputs);
  return (
    values.find((value) => value.name === name) ?? graph.outputs.find((each) => each.name === name)?.value
  );
}

/** The value that was asked for as features; what is not known to be anything else is maps [N,C,H,W]. */
function namedPlace(graph: Graph, roles: ReadonlyMap<Value, AxisRoles>, asked: Value): FeaturePlace {
  const value = channelsFirst(graph, asked);
  const { shape } = value.type;
  const place = featurePlace(value, roles.get(value) ?? []);
  if (place) return place;
  const [, , height, width] = shape;
  const isMap = shape.length === 4 && shape.slice(1).every((dim) => typeof dim === "number");
  if (!isMap || shape[0] !== graph.inputs[0]?.type.shape[0]) refuseShape(graph, value);
  return { value, channels: 1, places: 2, grid: [Number(height), Number(width)], before: undefined };
}

/** Maps that were only turned to [N,H,W,C] are taken before that. */
function channelsFirst(graph: Graph, value: Value): Value {
  const maker = graph.nodes.find((node) => node.outputs.includes(value));
  const isTurned = maker?.op.name === "Transpose" && String(maker.attrs.perm) === "0,2,3,1";
  return (isTurned ? maker?.inputs[0] : undefined) ?? value;
}

function refuseName(graph: Graph, name: string): never {
  const values = graph.nodes.flatMap((node) => node.outputs);
  const names = [...values.map((value) => value.name), ...graph.outputs.map((each) => each.name)];
  const hint = `the nearest names: ${nearestNames(name, names).join(", ")}`;
  throw new MttcError({ code: "E_MODEL_OUTPUT", message: `there is no value "${name}"`, hint });
}

function refuseToken({ name, origin }: Value): never {
  throw new MttcError({
    code: "E_MODEL_OUTPUT",
    message: `the features, "${name}", have no class token`,
    at: { node: name, origin },
    hint: "leave `output` out for the whole map, or name a value",
  });
}

function refuseShape(graph: Graph, value: Value): never {
  const maps = graph.nodes
    .flatMap((node) => node.outputs)
    .filter(({ type }) => type.shape.length === 4)
    .slice(-5)
    .map(({ name }) => name);
  const hint = maps.length > 0 ? `name one as \`output\`, for example: ${maps.join(", ")}` : undefined;
  throw new MttcError({
    code: "E_MODEL_SHAPE",
    message:
      `"${value.name}" is [${value.type.shape}], expected feature maps [N,C,H,W] of the images' batch, ` +
      "or tokens [N,T,C]",
    at: { node: value.name, origin: value.origin },
    ...(hint !== undefined && { hint }),
  });
}
