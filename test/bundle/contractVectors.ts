// The test vectors of compiler/bundle/CONTRACT.md: what schedules, streams, orders, masks and augmentation
// give for some inputs, as tables in Markdown. A driver in another language is checked against them.
import { AUGMENT_OPERATIONS } from "../../compiler/augment/augmentTable.ts";
import { hashName, philox4x32 } from "../../compiler/codec/philox.ts";
import { dynamicAverage, randomSoftmax } from "../../compiler/combine/lossWeights.ts";
import { AUGMENT_KEYS, AUGMENT_NAMES, type AugmentName } from "../../compiler/spec/augmentKeys.ts";
import { learningRateAt, type ScheduleSpec, scheduleOf } from "../../compiler/step/schedules.ts";
import { drawAugmentRows } from "../../runtime/augment/augmentRows.ts";
import { drawDropoutMask } from "../../runtime/draws/dropoutMasks.ts";
import { normalNumber } from "../../runtime/draws/normalNumbers.ts";
import { RandomStream } from "../../runtime/draws/randomStream.ts";
import { drawTaskOrders } from "../../runtime/draws/taskOrders.ts";
import { epochOrder, sampleProbabilities } from "../../runtime/labels/sampler.ts";
import type { TaskLabels } from "../../runtime/labels/taskLabels.ts";

/** A table of each kind, by the name that the page has for it. */
export function contractVectors(): Readonly<Record<string, string>> {
  return {
    schedules: scheduleTable(),
    weights: weightTable(),
    streams: [philoxTable(), hashTable(), streamTable()].join("\n\n"),
    order: orderTables(),
    masks: maskTable(),
    orders: taskOrderTable(),
    augment: augmentTable(),
  };
}

function taskOrderTable(): string {
  const cases = [
    [0, 0, 3],
    [4, 41, 3],
    [4, 41, 5],
  ] as const;
  const stream = "combine pcgrad order";
  const rows = cases.map(([seed, step, tasks]) => {
    const orders = [...drawTaskOrders(seed, step, tasks, { stream })];
    const byTask = Array.from({ length: tasks }, (_, task) =>
      orders.slice(task * (tasks - 1), (task + 1) * (tasks - 1)).join(" "),
    );
    return [seed, `\`${stream}\``, step, tasks, byTask.join("; ")];
  });
  return table(["seed", "`stream`", "s", "T", "orders of each task"], rows);
}

function table(columns: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const lines = [columns, columns.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function hex(words: Iterable<number>): string {
  return Array.from(words, (word) => word.toString(16).padStart(8, "0")).join(" ");
}

/** The first two are known answers of the paper's own code (Random123). */
function philoxTable(): string {
  const ones = 0xffffffff;
  const cases = [
    [0, 0, 0, 0, 0, 0],
    [ones, ones, ones, ones, ones, ones],
    [1, 2, 3, 4, 5, 6],
  ] as const;
  const rows = cases.map(([c0, c1, c2, c3, k0, k1]) => {
    const words = new Uint32Array(4);
    philox4x32(words, c0, c1, c2, c3, k0, k1);
    return [hex([c0, c1, c2, c3]), hex([k0, k1]), hex(words)];
  });
  return table(["counter", "key", "Philox4x32-10"], rows);
}

function hashTable(): string {
  const names = ["", "epoch order", "augment zoom_scale", "dropout größe 猫 🐈"];
  return table(
    ["purpose", "h"],
    names
      .map((name) => [`\`${name || " "}\``, hex([hashName(name)])])
      .map(([name, hash], i) => [i === 0 ? "(empty)" : name, hash]),
  );
}

function streamTable(): string {
  const cases = [
    [0, "epoch order", 1, 0],
    [7, "augment mask", 3, 21],
    [2 ** 53 - 1, "epoch order", 2, 5],
  ] as const;
  const rows = cases.map(([seed, purpose, time, index]) => {
    const words = new RandomStream(seed, purpose, time, index);
    const numbers = new RandomStream(seed, purpose, time, index);
    return [
      ...[seed, `\`${purpose}\``, time, index],
      hex(Array.from({ length: 5 }, () => words.nextUint32())),
      Array.from({ length: 3 }, () => numbers.nextUniform()).join(", "),
    ];
  });
  return table(["seed", "purpose", "time", "index", "first words", "first uniform numbers"], rows);
}

/** Classes of two tasks in seven rows; -1: no label. */
const LABELS = [0, 0, 0, -1, 1, 2, -1, 1, 0, -1, -1, -1, 0, 2] as const;

function orderTables(): string {
  const labels = [0, 1].map((task): TaskLabels => {
    return { values: Int32Array.from(LABELS.filter((_, i) => i % 2 === task)), width: 1 };
  });
  const shown = (task: number): string =>
    Array.from({ length: LABELS.length / 2 }, (_, row) => LABELS[2 * row + task]).join(", ");
  const rows = [{ balanced: false }, { balanced: true }, { balanced: true, byClass: true }].flatMap((kind) =>
    [1, 2].map((epoch) => {
      const order = epochOrder({ labels, batchSize: 4, seed: 11, epoch, ...kind });
      const shares = kind.balanced ? [...sampleProbabilities(labels, kind.byClass)] : [];
      const { balanced, byClass = false } = kind;
      return [balanced, byClass, epoch, shares.map((p) => p.toPrecision(6)).join(" "), order.join(" ")];
    }),
  );
  const classes = `(${shown(0)}) and (${shown(1)}), -1 for none`;
  const given = `Two tasks of seven rows with the classes ${classes}; B 4, seed 11:`;
  const columns = ["`balance_probs`", "`balance_classes`", "epoch", "weights", "order"];
  return `${given}\n\n${table(columns, rows)}`;
}

function maskTable(): string {
  const cases = [
    [0, 0, "dropout mask/a", [2, 4, 1, 1], 0.5],
    [4, 41, "dropout mask/a", [3, 4, 1, 1], 0.3],
  ] as const;
  const rows = cases.map(([seed, step, stream, shape, rate]) => {
    const mask = drawDropoutMask(seed, step, shape, { rate, stream });
    return [seed, `\`${stream}\``, step, rate, `[${shape}]`, [...mask].join(" ")];
  });
  return table(["seed", "`stream`", "s", "`rate`", "shape", "mask"], rows);
}

/** Ten steps of each formula, and some that lie on a turn. */
function scheduleTable(): string {
  const keys = { lr: 0.01, lr_decay: 4, decay_type: "exponential", warmup: null, one_cycle: false } as const;
  const specs: ScheduleSpec[] = [
    { ...keys, lr_decay: 0 },
    { ...keys, lr_decay: 0, warmup: 4 },
    { ...keys, warmup: 2 },
    { ...keys, decay_type: "staircase" },
    { ...keys, decay_type: "cosine", warmup: 1 },
    { ...keys, decay_type: "warmupcosine", warmup: 3 },
    { ...keys, one_cycle: 10 },
    { ...keys, one_cycle: true },
  ];
  const rows = specs.map((spec) => {
    const schedule = scheduleOf(spec);
    const rates = Array.from({ length: 14 }, (_, step) => learningRateAt(schedule, step, 8).toPrecision(9));
    return [`\`${JSON.stringify(schedule)}\``, rates.map(Number).join(" ")];
  });
  return `Rates of s = 0 to 13 in nine digits, in a run of 8 steps:\n\n${table(["`value`", "rates"], rows)}`;
}

/** Factors of three tasks, of which one may take no part. */
function weightTable(): string {
  const losses = new Map([
    ["a", { last: 0.9, before: 1 }],
    ["b", { last: 0.6, before: 1.2 }],
    ["c", { last: 0.3, before: 0.4 }],
  ]);
  const averages = (of: typeof losses): string => [...dynamicAverage(of, 2).values()].map(shortest).join(" ");
  const draws = (step: number, places: readonly number[]): string => {
    const drawn = new Map(places.map((t) => [String(t), normalNumber(7, "combine rlw", step, t)]));
    const factors = randomSoftmax(drawn);
    return [0, 1, 2].map((t) => shortest(factors.get(String(t)) ?? 0)).join(" ");
  };
  const unknown = new Map(losses).set("b", { last: Number.NaN, before: 1.2 });
  const rows = [
    ["`dynamic_average`", "`temperature` 2; L_1 0.9 0.6 0.3, L_2 1 1.2 0.4", averages(losses)],
    ["`dynamic_average`", "the same, L_1 of the second is no number", averages(unknown)],
    ["`random_softmax`", "seed 7, `stream` `combine rlw`, s 0", draws(0, [0, 1, 2])],
    ["`random_softmax`", "the same, s 41", draws(41, [0, 1, 2])],
    ["`random_softmax`", "the same, the second has no label in the batch", draws(41, [0, 2])],
  ];
  return `Factors of three tasks in nine digits:\n\n${table(["`formula`", "given", "factors"], rows)}`;
}

const SIZE = { height: 40, width: 48, channels: 3 };
const SAMPLES = 4;

function augmentTable(): string {
  const rows = AUGMENT_NAMES.map((name) => {
    const strength = AUGMENT_KEYS[name].kind === "chance" ? 0.4 : AUGMENT_KEYS[name].normal;
    const settings = { [name]: strength } as Record<AugmentName, number>;
    const drawn = drawAugmentRows({ settings, size: SIZE, seed: 6, epoch: 2 }, 0, SAMPLES);
    const width = AUGMENT_OPERATIONS[name].columns.length;
    const samples = Array.from({ length: SAMPLES }, (_, i) => drawn.subarray(i * width, (i + 1) * width));
    return [
      `\`${name}\``,
      strength,
      samples.map((sample) => Array.from(sample, shortest).join(" ")).join("; "),
    ];
  });
  const size = `H ${SIZE.height} and W ${SIZE.width}`;
  const given = `Images with ${size}, seed 6, epoch 2, streams \`augment NAME\`, float32 in nine digits:`;
  const columns = ["operation", "q", `columns of i = 0 to ${SAMPLES - 1}`];
  return `${given}\n\n${table(columns, rows)}`;
}

function shortest(value: number): string {
  return String(Number(value.toPrecision(9)));
}
