// The table of operators: one line each. Frozen; handed to builders, never reached for by shared code.
import type { Op, OpTable } from "../ir/op.ts";

const ALL: readonly Op[] = [];

/** Every operator that mttc knows, by name. */
export const OPS: OpTable = new Map(ALL.map((op) => [op.name, op]));
