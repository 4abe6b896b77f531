// Features as maps [N,C,H,W], whatever the network has: tokens [N,T,C] and maps [N,H,W,C] are turned, class
// and register tokens are dropped, or the class token alone is taken.
import { GraphBuilder } from "../../ir/builder.ts";
import type { Graph, Value } from "../../ir/types.ts";
import { OPS } from "../../ops/table.ts";
import { isOuter } from "./axisParts.ts";
import { type AxisRoles, tokensOf } from "./axisRoles.ts";

/** A value that holds features of places of the image. */
export interface FeaturePlace {
  readonly value: Value;
  /** Of the channels, and of height (or of the tokens). */
  readonly channels: number;
  readonly places: number;
  /** Height and width of the map that it is, or that its tokens are. */
  readonly grid: readonly [height: number, width: number];
  /** Tokens before the grid's; undefined for a map. */
  readonly before: number | undefined;
}

/**
 * What a value is as features: maps [N,C,H,W] or [N,H,W,C], tokens [N,T,C] or [N,C,T]; undefined for anything
 * else.
 */
export function featurePlace(value: Value, roles: AxisRoles): FeaturePlace | undefined {
  const { shape } = value.type;
  if (shape.slice(1).some((dim) => typeof dim !== "number")) return undefined;
  if (!isAxis(roles, 0, "batch")) return undefined;
  const axes = shape.map((_, i) => i);
  const [channels, ...more] = axes.filter((axis) => isAxis(roles, axis, "channels"));
  if (channels === undefined || more.length > 0) return undefined;
  const places = channels === 1 ? 2 : 1;
  if (shape.length === 4 && isAxis(roles, places, "height") && isAxis(roles, places + 1, "width")) {
    const grid = [Number(shape[places]), Number(shape[places + 1])] as const;
    return { value, channels, places, grid, before: undefined };
  }
  const tokens = shape.length === 3 ? tokensOf(roles[places]) : undefined;
  return tokens && { value, channels, places, ...tokens };
}

/** Whether an axis is that of the image; height and width may be 1, of which nothing else is known. */
function isAxis(roles: AxisRoles, axis: number, kind: "batch" | "channels" | "height" | "width"): boolean {
  const parts = roles[axis] ?? [];
  if (parts.length === 0) return kind === "height" || kind === "width";
  return parts.length === 1 && isOuter(parts[0], kind);
}

/** `graph` with the one output `place.value`, as maps [N,C,H,W], under its own name. */
export function withMaps(graph: Graph, place: FeaturePlace): Graph {
  return withOutput(graph, place, (b) => {
    const { value, channels, places, grid, before } = place;
    const count = Number(value.type.shape[channels]);
    if (before === undefined)
      return channels === 1 ? value : b.transpose(value, [0, channels, places, places + 1]);
    const [height, width] = grid;
    const all = before + height * width;
    const isWhole = all === value.type.shape[places] && before === 0;
    const tokens = isWhole ? value : b.slice(value, [before], [all], [places]);
    const columns = channels === 1 ? tokens : b.transpose(tokens, [0, 2, 1]);
    return b.reshape(columns, [0, count, height, width]);
  });
}

/** `graph` with the one output [N,C,1,1], the first of the tokens; `place.before` is at least 1. */
export function withClassToken(graph: Graph, place: FeaturePlace): Graph {
  return withOutput(graph, place, (b) => {
    const { value, channels, places } = place;
    const token = b.slice(value, [0], [1], [places]);
    return b.reshape(token, [0, Number(value.type.shape[channels]), 1, 1]);
  });
}

function withOutput(graph: Graph, { value }: FeaturePlace, turn: (b: GraphBuilder) => Value): Graph {
  const b = GraphBuilder.extend({ ...graph, outputs: [] }, OPS);
  const turned = b.within(`${value.origin}/features`, () => turn(b));
  b.output(value.name, turned);
  return b.build();
}
