// Units of rows -> parts of given shares that have each label in the same share: iterative stratification
// (Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011), with units
// of several rows that stay together. A row has any number of labels, of any tasks; holes are labels that it
// does not have. Pure, and a function of the units alone, not of where their rows stand.

/** Units of rows, each to be put into one part as a whole. */
export interface Units {
  /** Rows of each unit. */
  readonly rows: Int32Array;
  /** Units in the order in which ties are decided: a seeded shuffle that does not depend on rows. */
  readonly order: Int32Array;
  /** Unit u has the labels `labels[starts[u]]` to `labels[starts[u + 1] - 1]`, each once, ... */
  readonly starts: Int32Array;
  readonly labels: Int32Array;
  /** ... in so many of its rows. */
  readonly counts: Int32Array;
  /** How many labels there are: they are 0 to labelCount - 1. */
  readonly labelCount: number;
}

const NO_PART = -1;
/** Wishes that differ by less are equal: they are sums and differences of shares of whole rows. */
const ROUNDING = 1e-6;
/** Passes over all units in which they are moved; mostly a few are enough. */
const MOST_PASSES = 20;

/**
 * The part of each unit, by its place in `shares` (which sum to 1). The label of the fewest units that are
 * left is dealt first, its units of most rows of it before others; each goes to the part that still wants
 * most rows of the label, then to the one that wants most rows at all, then in turn. A part that would get
 * nothing is given the unit that fits it best, from a part of several. Units of several rows are then moved
 * to where they fit better (`refine`): by one label alone a large unit goes anywhere.
 */
export function stratify(units: Units, shares: readonly number[]): Int32Array {
  const dealer = new Dealer(units, shares);
  const lists = unitsByLabel(units);
  const queue = new RarestFirst(lists.map(({ length }) => length));
  for (let label = queue.next(); label !== undefined; label = queue.next())
    for (const unit of lists[label] ?? [])
      if (dealer.parts[unit] === NO_PART) for (const other of dealer.deal(unit, label)) queue.lower(other);
  for (const unit of sortedBy(units.order, (each) => units.rows[each] ?? 0))
    if (dealer.parts[unit] === NO_PART) dealer.deal(unit, undefined);
  fillEmptyParts(units, dealer.parts, shares);
  if (units.rows.some((rows) => rows > 1)) refine(units, dealer.parts, shares);
  return dealer.parts;
}

/** What each part still wants, and who got what. */
class Dealer {
  readonly parts: Int32Array;
  readonly #units: Units;
  readonly #wishes: Wishes;
  #turn = 0;

  constructor(units: Units, shares: readonly number[]) {
    this.#units = units;
    this.parts = new Int32Array(units.rows.length).fill(NO_PART);
    this.#wishes = wishesOf(units, shares);
  }

  /** Puts a unit into a part, for the sake of a label or of its rows alone; the labels that it has. */
  deal(unit: number, label: number | undefined): Int32Array {
    const { starts, labels } = this.#units;
    const part = this.#wanting(label);
    this.parts[unit] = part;
    take(this.#units, this.#wishes, unit, part, 1);
    return labels.subarray(starts[unit] ?? 0, starts[unit + 1] ?? 0);
  }

  #wanting(label: number | undefined): number {
    const { parts, rows, ofLabel } = this.#wishes;
    let [best, most, mostRows, ties] = [0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
    for (let part = 0; part < parts; part++) {
      const wish = label === undefined ? 0 : (ofLabel[label * parts + part] ?? 0);
      const own = rows[part] ?? 0;
      if (wish < most - ROUNDING || (wish < most + ROUNDING && own < mostRows - ROUNDING)) continue;
      const isTie = Math.abs(wish - most) <= ROUNDING && Math.abs(own - mostRows) <= ROUNDING;
      ties = isTie ? ties + 1 : 1;
      // Of n that are alike each comes in turn: the n-th takes the place of the others every n-th time.
      if (!isTie || this.#turn % ties === 0) best = part;
      [most, mostRows] = [wish, own];
    }
    this.#turn++;
    return best;
  }
}

/** Rows that parts still want; less than none where they have too many. */
interface Wishes {
  readonly parts: number;
  /** At all, [parts]. */
  readonly rows: Float64Array;
  /** Of each label, [labels][parts]. */
  readonly ofLabel: Float64Array;
}

/** What parts want before they have anything. */
function wishesOf({ rows, labels, counts, labelCount }: Units, shares: readonly number[]): Wishes {
  const parts = shares.length;
  const all = rows.reduce((sum, count) => sum + count, 0);
  const ofLabel = new Float64Array(labelCount * parts);
  for (const [i, label] of labels.entries())
    for (const [part, share] of shares.entries()) {
      const place = label * parts + part;
      ofLabel[place] = (ofLabel[place] ?? 0) + share * (counts[i] ?? 0);
    }
  return { parts, rows: Float64Array.from(shares, (share) => share * all), ofLabel };
}

/** Takes a unit into a part (`sign` 1), or out of it (-1). */
function take(
  { rows, starts, labels, counts }: Units,
  wishes: Wishes,
  unit: number,
  part: number,
  sign: 1 | -1,
): void {
  const { parts, ofLabel } = wishes;
  wishes.rows[part] = (wishes.rows[part] ?? 0) - sign * (rows[unit] ?? 0);
  for (let i = starts[unit] ?? 0; i < (starts[unit + 1] ?? 0); i++) {
    const place = (labels[i] ?? 0) * parts + part;
    ofLabel[place] = (ofLabel[place] ?? 0) - sign * (counts[i] ?? 0);
  }
}

/**
 * Moves units of several rows to where they fit better, until none does: least is the sum over labels and
 * parts of (found - wanted)^2 / wanted, the statistic of a chi-square test, where the rows themselves count
 * as many times as a row has labels.
 */
function refine(units: Units, parts: Int32Array, shares: readonly number[]): void {
  const wishes = wishesOf(units, shares);
  const all = wishes.rows.reduce((sum, rows) => sum + rows, 0);
  const perRow = units.counts.reduce((sum, count) => sum + count, 0) / Math.max(1, all);
  const rows = wishes.rows.map((want) => want / Math.max(1, perRow));
  const wanted = { ...wishes, rows, ofLabel: wishes.ofLabel.slice() };
  for (const [unit, part] of parts.entries()) take(units, wishes, unit, part, 1);
  const sizes = sizesOf(parts, shares.length);
  const largest = sortedBy(units.order, (unit) => units.rows[unit] ?? 0);
  for (let pass = 0, moved = true; moved && pass < MOST_PASSES; pass++) {
    moved = false;
    for (const unit of largest) {
      const from = parts[unit] ?? 0;
      if (sizes[from] === 1) continue;
      take(units, wishes, unit, from, -1);
      let [best, least] = [from, misfit(units, wishes, wanted, unit, from) - ROUNDING];
      for (let part = 0; part < shares.length; part++) {
        const cost = misfit(units, wishes, wanted, unit, part);
        if (cost < least) [best, least] = [part, cost];
      }
      take(units, wishes, unit, best, 1);
      if (best === from) continue;
      parts[unit] = best;
      sizes[from] = (sizes[from] ?? 0) - 1;
      sizes[best] = (sizes[best] ?? 0) + 1;
      moved = true;
    }
  }
}

/** What the statistic grows by where a part takes a unit: of each label g (g - 2 wish) / wanted. */
function misfit(
  { rows, starts, labels, counts }: Units,
  wishes: Wishes,
  wanted: Wishes,
  unit: number,
  part: number,
): number {
  const grown = (count: number, wish = 0, want = 1): number => (count * (count - 2 * wish)) / want;
  let cost = grown(rows[unit] ?? 0, wishes.rows[part], wanted.rows[part]);
  for (let i = starts[unit] ?? 0; i < (starts[unit + 1] ?? 0); i++) {
    const place = (labels[i] ?? 0) * wishes.parts + part;
    cost += grown(counts[i] ?? 0, wishes.ofLabel[place], wanted.ofLabel[place]);
  }
  return cost;
}

function sizesOf(parts: Int32Array, count: number): Int32Array {
  const sizes = new Int32Array(count);
  for (const part of parts) sizes[part] = (sizes[part] ?? 0) + 1;
  return sizes;
}

/** The units that have each label, those of most rows of it first. */
function unitsByLabel({ order, starts, labels, counts, labelCount }: Units): Int32Array[] {
  const sizes = new Int32Array(labelCount);
  for (const label of labels) sizes[label] = (sizes[label] ?? 0) + 1;
  const lists = Array.from(sizes, (size) => new Int32Array(size));
  const rows = Array.from(sizes, (size) => new Int32Array(size));
  const filled = new Int32Array(labelCount);
  for (const unit of order)
    for (let i = starts[unit] ?? 0; i < (starts[unit + 1] ?? 0); i++) {
      const label = labels[i] ?? 0;
      const place = filled[label] ?? 0;
      const [list, count] = [lists[label], rows[label]];
      if (!list || !count) continue;
      list[place] = unit;
      count[place] = counts[i] ?? 0;
      filled[label] = place + 1;
    }
  return lists.map((list, label) => {
    const count = rows[label] ?? new Int32Array();
    const places = sortedBy(Int32Array.from(list.keys()), (place) => count[place] ?? 0);
    return places.map((place) => list[place] ?? 0);
  });
}

/** The largest first, others in their order; as they are where all are alike. */
function sortedBy(values: Int32Array, size: (value: number) => number): Int32Array {
  const first = size(values[0] ?? 0);
  if (values.every((value) => size(value) === first)) return values;
  return Int32Array.from(Array.from(values).sort((a, b) => size(b) - size(a)));
}

/** Labels by how many units are left that have them; of equal ones the first. Linear in all changes. */
class RarestFirst {
  readonly #left: Int32Array;
  /** Labels by a number that they had left at some time. */
  readonly #buckets: number[][] = [];
  #least = 0;

  constructor(left: readonly number[]) {
    this.#left = Int32Array.from(left);
    for (const [label, count] of [...left.entries()].reverse()) this.#put(label, count);
  }

  /** The label that the fewest units are left of, at least one; undefined where none is left. */
  next(): number | undefined {
    for (; this.#least < this.#buckets.length; this.#least++) {
      const bucket = this.#buckets[this.#least] ?? [];
      for (let label = bucket.pop(); label !== undefined; label = bucket.pop())
        if (this.#left[label] === this.#least) return label;
    }
    return undefined;
  }

  /** A unit that has the label is left no more. */
  lower(label: number): void {
    const left = (this.#left[label] ?? 0) - 1;
    this.#left[label] = left;
    this.#put(label, left);
  }

  #put(label: number, left: number): void {
    if (left < 1) return;
    const bucket = this.#buckets[left] ?? [];
    this.#buckets[left] = bucket;
    bucket.push(label);
    this.#least = Math.min(this.#least, left);
  }
}

/** Gives every part a unit, as long as there are as many units as parts. */
function fillEmptyParts({ rows, order }: Units, parts: Int32Array, shares: readonly number[]): void {
  const all = rows.reduce((sum, count) => sum + count, 0);
  const sizes = sizesOf(parts, shares.length);
  for (const [part, share] of shares.entries()) {
    if (sizes[part] !== 0) continue;
    const misfit = (unit: number): number => Math.abs((rows[unit] ?? 0) - share * all);
    let best: number | undefined;
    for (const unit of order) {
      const isSpare = (sizes[parts[unit] ?? 0] ?? 0) > 1;
      if (isSpare && (best === undefined || misfit(unit) < misfit(best))) best = unit;
    }
    if (best === undefined) continue;
    const from = parts[best] ?? 0;
    sizes[from] = (sizes[from] ?? 0) - 1;
    sizes[part] = 1;
    parts[best] = part;
  }
}
