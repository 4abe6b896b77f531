// The rows of one label table -> units that a split must not take apart: rows of one image, and rows of one
// group (a patient, a site). In: paths, a column of groups, labels of the tasks. Out: units with what they
// hold, in an order that a seed decides and that no order of rows changes.
import { createHash } from "node:crypto";
import { philox4x32 } from "../../compiler/codec/philox.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { type LabelColumn, NO_NAME } from "../tables/labelTable.ts";
import { rowsOfOnePath } from "../tables/sameImages.ts";
import type { PathList } from "../tables/stringTable.ts";
import type { Units } from "./stratify.ts";
import type { TaskLabels } from "./taskLabels.ts";

/** What units are made of. */
export interface SplitRows {
  readonly paths: PathList;
  /** Of each row's image a number that tells it from others (imageKeys). */
  readonly keys: BigUint64Array;
  /** Rows of images of one content, in groups of two and more. */
  readonly copies: readonly (readonly number[])[];
  /** Rows of one name stay together; rows without one are groups of their own. */
  readonly groups: LabelColumn | undefined;
  readonly tasks: readonly Task[];
  readonly labels: readonly TaskLabels[];
}

/** Units, and the unit of each row. */
export interface RowUnits {
  readonly units: Units;
  readonly unitOf: Int32Array;
}

/** The units of rows; what decides ties is drawn by `seed`. */
export function unitsOfRows(rows: SplitRows, seed: number): RowUnits {
  const { keys, paths, groups, copies } = rows;
  const together = new Together(keys.length);
  for (const list of [rowsOfOnePath(paths), copies])
    for (const same of list) for (const row of same) together.join(same[0] ?? row, row);
  const firstOf = new Map<number, number>();
  for (const [row, code] of (groups?.codes ?? new Int32Array()).entries()) {
    if (code === NO_NAME) continue;
    const first = firstOf.get(code) ?? row;
    firstOf.set(code, first);
    together.join(first, row);
  }
  const { unitOf, count } = together.units();
  const sizes = new Int32Array(count);
  for (const unit of unitOf) sizes[unit] = (sizes[unit] ?? 0) + 1;
  const order = shuffled(unitOf, count, { keys, groups }, seed);
  return { unitOf, units: { rows: sizes, order, ...labelsOfUnits(rows, unitOf, count) } };
}

/** Rows that are joined, by union and find. */
class Together {
  readonly #parent: Int32Array;

  constructor(rows: number) {
    this.#parent = Int32Array.from({ length: rows }, (_, row) => row);
  }

  join(a: number, b: number): void {
    const [one, other] = [this.#find(a), this.#find(b)];
    this.#parent[Math.max(one, other)] = Math.min(one, other);
  }

  /** A number of each row's unit, from 0, by the unit's first row. */
  units(): { unitOf: Int32Array; count: number } {
    const unitOf = new Int32Array(this.#parent.length);
    let count = 0;
    for (let row = 0; row < unitOf.length; row++) {
      const first = this.#find(row);
      unitOf[row] = first === row ? count++ : (unitOf[first] ?? 0);
    }
    return { unitOf, count };
  }

  #find(row: number): number {
    let root = row;
    for (let next = this.#parent[root]; next !== undefined && next !== root; next = this.#parent[root]) {
      this.#parent[root] = this.#parent[next] ?? next;
      root = next;
    }
    return root;
  }
}

/** Units by the least number that is drawn for one of their groups or images: by content, not by place. */
function shuffled(
  unitOf: Int32Array,
  count: number,
  { keys, groups }: Pick<SplitRows, "keys" | "groups">,
  seed: number,
): Int32Array {
  const drawn = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
  const ofGroup = (groups?.names ?? []).map((name) => drawnNumber(digestOf(`group ${name}`), seed));
  for (const [row, unit] of unitOf.entries()) {
    const number = ofGroup[groups?.codes[row] ?? NO_NAME] ?? drawnNumber(keys[row] ?? 0n, seed);
    drawn[unit] = Math.min(drawn[unit] ?? number, number);
  }
  const order = Int32Array.from({ length: count }, (_, unit) => unit);
  return order.sort((a, b) => (drawn[a] ?? 0) - (drawn[b] ?? 0));
}

/** 53 random bits that a key and the seed name. */
function drawnNumber(key: bigint, seed: number): number {
  const out = new Uint32Array(4);
  const [low, high] = [Number(key & 0xffffffffn), Number(key >> 32n)];
  philox4x32(out, low, high, 0, 0, seed >>> 0, Math.floor(seed / 2 ** 32));
  return (out[0] ?? 0) * 2 ** 21 + ((out[1] ?? 0) >>> 11);
}

/** 64 bits of a text's SHA-256. */
export function digestOf(text: string): bigint {
  return createHash("sha256").update(text).digest().readBigUInt64LE();
}

/** Labels of all tasks, one after the other: of each unit, in how many of its rows each occurs. */
function labelsOfUnits(
  { tasks, labels }: SplitRows,
  unitOf: Int32Array,
  count: number,
): Pick<Units, "starts" | "labels" | "counts" | "labelCount"> {
  let labelCount = 0;
  const pairs: Float64Array[] = [];
  for (const [t, { groups }] of tasks.entries()) {
    const { values, width } = labels[t] ?? { values: new Int32Array(), width: 1 };
    const found: number[] = [];
    for (const [row, unit] of unitOf.entries())
      for (const group of groups.of(values.subarray(row * width, (row + 1) * width)))
        found.push(unit * LABEL_ROOM + labelCount + group);
    pairs.push(Float64Array.from(found));
    labelCount += groups.names.length;
  }
  return { ...compressed(pairs, count), labelCount };
}

/** A unit's number and a label's share a double, so that a typed array sorts both. */
const LABEL_ROOM = 2 ** 24;

function compressed(
  pairs: readonly Float64Array[],
  count: number,
): Pick<Units, "starts" | "labels" | "counts"> {
  const all = new Float64Array(pairs.reduce((sum, { length }) => sum + length, 0));
  let filled = 0;
  for (const list of pairs) {
    all.set(list, filled);
    filled += list.length;
  }
  all.sort();
  const starts = new Int32Array(count + 1);
  const labels = new Int32Array(all.length);
  const counts = new Int32Array(all.length);
  let used = 0;
  for (const [i, pair] of all.entries()) {
    if (i === 0 || pair !== all[i - 1]) {
      labels[used++] = pair % LABEL_ROOM;
      const next = Math.floor(pair / LABEL_ROOM) + 1;
      starts[next] = used;
    }
    counts[used - 1] = (counts[used - 1] ?? 0) + 1;
  }
  // Units without a label end where the one before them does.
  for (let unit = 1; unit <= count; unit++) starts[unit] = Math.max(starts[unit] ?? 0, starts[unit - 1] ?? 0);
  return { starts, labels: labels.slice(0, used), counts: counts.slice(0, used) };
}
