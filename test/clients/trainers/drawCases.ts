// What CONTRACT.md has a driver draw or compute, as cases in JSON and what mttc itself gives for them:
// streams, rows of augmentation, rates, masks of dropout, orders of epochs and of tasks, factors of losses.
import { dynamicAverage, randomSoftmax } from "../../../compiler/combine/lossWeights.ts";
import type { Schedule } from "../../../compiler/ir/roles.ts";
import { AUGMENT_KEYS, AUGMENT_NAMES } from "../../../compiler/spec/augmentKeys.ts";
import { learningRateAt } from "../../../compiler/step/schedules.ts";
import { drawAugmentRows } from "../../../runtime/augment/augmentRows.ts";
import { drawDropoutMask } from "../../../runtime/draws/dropoutMasks.ts";
import { normalNumber } from "../../../runtime/draws/normalNumbers.ts";
import { RandomStream } from "../../../runtime/draws/randomStream.ts";
import { drawTaskOrders } from "../../../runtime/draws/taskOrders.ts";
import { epochOrder } from "../../../runtime/labels/sampler.ts";

/** Cases of each sort. Seeds are below 2^53: numbers of JSON in float64 hold them. */
export interface DrawCases {
  /** The first `words` words of a stream, and its first `numbers` uniform numbers. */
  readonly streams: readonly {
    readonly seed: number;
    readonly purpose: string;
    readonly time: number;
    readonly index: number;
    readonly words: number;
    readonly numbers: number;
  }[];
  /** The columns of one operation, of images `first` ... `first` + `samples` - 1 of an epoch. */
  readonly augment: readonly {
    readonly name: string;
    readonly strength: number;
    readonly stream: string;
    readonly seed: number;
    readonly epoch: number;
    readonly first: number;
    readonly samples: number;
    readonly height: number;
    readonly width: number;
  }[];
  /** The number of a formula at the steps 0 ... `steps` - 1 of a run of `run` steps. */
  readonly schedules: readonly { readonly value: Schedule; readonly steps: number; readonly run: number }[];
  /** A mask of a whole logical batch. */
  readonly masks: readonly {
    readonly seed: number;
    readonly stream: string;
    readonly step: number;
    readonly rate: number;
    readonly shape: readonly number[];
  }[];
  /** The order of an epoch; `groups`: of each task its class in every row, -1 without a label. */
  readonly orders: readonly {
    readonly groups: readonly (readonly number[])[];
    readonly balance_probs: boolean;
    readonly balance_classes: boolean;
    readonly batchSize: number;
    readonly seed: number;
    readonly epoch: number;
  }[];
  /** Orders of `tasks` tasks. */
  readonly taskOrders: readonly {
    readonly seed: number;
    readonly stream: string;
    readonly step: number;
    readonly tasks: number;
  }[];
  /** Factors by `dynamic_average`; `losses`: of each task L_1 and L_2, null where there is none. */
  readonly averages: readonly {
    readonly temperature: number;
    readonly losses: readonly (readonly [number | null, number | null])[];
  }[];
  /** Factors by `random_softmax`; `present`: of each task whether it has a label in the batch. */
  readonly randomFactors: readonly {
    readonly seed: number;
    readonly stream: string;
    readonly step: number;
    readonly present: readonly boolean[];
  }[];
}

/** The answers, in the order of the cases; numbers in full, as JSON. */
export interface Drawn {
  readonly streams: readonly { readonly words: readonly number[]; readonly numbers: readonly number[] }[];
  /** float32, the rows of all samples behind each other. */
  readonly augment: readonly (readonly number[])[];
  readonly schedules: readonly (readonly number[])[];
  /** float32. */
  readonly masks: readonly (readonly number[])[];
  readonly orders: readonly (readonly number[])[];
  /** Row-major. */
  readonly taskOrders: readonly (readonly number[])[];
  readonly averages: readonly (readonly number[])[];
  readonly randomFactors: readonly (readonly number[])[];
}

const SIZES = [
  { height: 40, width: 48, channels: 3 },
  { height: 9, width: 8, channels: 1 },
  { height: 33, width: 250, channels: 3 },
];
const SAMPLES = 40;
const AUGMENT_EPOCH = 3;
const FIRST = 7;

/** Cases of every operation, size, strength and formula. */
export function drawCases(): DrawCases {
  const augment = AUGMENT_NAMES.flatMap((name) => {
    const { least, most, normal } = AUGMENT_KEYS[name];
    return SIZES.flatMap(({ height, width }) =>
      [least, normal, most].map((strength, seed) => {
        const at = { seed, epoch: AUGMENT_EPOCH, first: FIRST, samples: SAMPLES };
        return { name, strength, stream: `augment ${name}`, ...at, height, width };
      }),
    );
  });
  return {
    streams: streamCases(),
    augment,
    ...formulaCases(),
    masks: maskCases(),
    orders: orderCases(),
    ...taskCases(),
  };
}

function streamCases(): DrawCases["streams"] {
  return [0, 1, 2 ** 32 + 5, 2 ** 53 - 1].flatMap((seed) =>
    ["", "epoch order", "größe 猫 🐈"].map((purpose, i) => {
      return { seed, purpose, time: 2 ** 31 + i, index: 2 ** 32 - 1 - i, words: 11, numbers: 7 };
    }),
  );
}

function formulaCases(): Pick<DrawCases, "schedules"> {
  const values: readonly Schedule[] = [
    { formula: "constant", value: 0.3 },
    { formula: "warmup", value: 0.3, warmup: 7 },
    { formula: "exponential", value: 0.3, steps: 6, rate: 0.5, warmup: 2 },
    { formula: "staircase", value: 0.3, steps: 6, rate: 0.5, warmup: 0 },
    { formula: "cosine", value: 0.3, steps: 20, least: 0.01, warmup: 5 },
    { formula: "cosine_restarts", value: 0.3, steps: 5, growth: 2, warmup: 1 },
    { formula: "one_cycle", value: 0.3, steps: 31, rise: 0.3, start: 25, end: 1e4 },
    { formula: "one_cycle", value: 0.3, steps: "run", rise: 0.3, start: 25, end: 1e4 },
  ];
  return { schedules: values.map((value) => ({ value, steps: 40, run: 33 })) };
}

function maskCases(): DrawCases["masks"] {
  return [
    { seed: 0, stream: "dropout mask/a", step: 0, rate: 0.5, shape: [2, 4, 1, 1] },
    { seed: 2 ** 40 + 3, stream: "dropout größe", step: 41, rate: 0.3, shape: [3, 5, 1, 1] },
    { seed: 4, stream: "", step: 2 ** 31, rate: 0.999, shape: [7, 3, 1, 1] },
  ];
}

function orderCases(): DrawCases["orders"] {
  const groups = [
    [0, 0, 1, -1, 0, -1, 0],
    [0, -1, 2, 1, -1, -1, 2],
  ];
  const kinds = [
    { balance_probs: false, balance_classes: false },
    { balance_probs: true, balance_classes: false },
    { balance_probs: true, balance_classes: true },
  ];
  return kinds.flatMap((kind) =>
    [1, 2, 9].map((epoch) => ({ groups, ...kind, batchSize: 4, seed: 2 ** 33 + 11, epoch })),
  );
}

function taskCases(): Pick<DrawCases, "taskOrders" | "averages" | "randomFactors"> {
  const stream = "combine größe";
  const [seeds, steps] = [[0, 2 ** 53 - 1] as const, [0, 2 ** 31 + 5] as const];
  const at = seeds.flatMap((seed) => steps.map((step) => ({ seed, stream, step })));
  const losses = [
    [[0.9, 1]],
    [
      [0.9, 1],
      [0.6, 1.2],
      [0.3, 0.4],
    ],
    // Without a number, or with none that is finite: 1.
    [
      [0.9, 1],
      [null, 1.2],
      [0.3, null],
      [0.3, 0],
      [0, 0],
      [0, 2],
    ],
    [
      [null, null],
      [null, null],
    ],
    // exp would overflow.
    [
      [9e3, 1],
      [9e3, 0.999],
    ],
  ] as const;
  const present = [[true], [true, true, true], [false, true, false, true], [false, false], [false, true]];
  return {
    taskOrders: [2, 3, 7].flatMap((tasks) => at.map((each) => ({ ...each, tasks }))),
    averages: [2, 0.5].flatMap((temperature) => losses.map((each) => ({ temperature, losses: each }))),
    randomFactors: at.flatMap((each) => present.map((tasks) => ({ ...each, present: tasks }))),
  };
}

/** What mttc draws for the cases. */
export function drawnByMttc(cases: DrawCases): Drawn {
  return {
    streams: cases.streams.map(({ seed, purpose, time, index, words, numbers }) => {
      const stream = () => new RandomStream(seed, purpose, time, index);
      const [first, second] = [stream(), stream()];
      return {
        words: Array.from({ length: words }, () => first.nextUint32()),
        numbers: Array.from({ length: numbers }, () => second.nextUniform()),
      };
    }),
    augment: cases.augment.map(({ name, strength, seed, epoch, first, samples, height, width }) => {
      const size = { height, width, channels: 3 };
      return [...drawAugmentRows({ settings: { [name]: strength }, size, seed, epoch }, first, samples)];
    }),
    schedules: cases.schedules.map(({ value, steps, run }) =>
      Array.from({ length: steps }, (_, step) => learningRateAt(value, step, run)),
    ),
    masks: cases.masks.map(({ seed, step, shape, rate, stream }) => [
      ...drawDropoutMask(seed, step, shape, { rate, stream }),
    ]),
    orders: cases.orders.map(({ groups, balance_probs, balance_classes, ...at }) => {
      const labels = groups.map((column) => ({ values: Int32Array.from(column), width: 1 }));
      return [...epochOrder({ labels, balanced: balance_probs, byClass: balance_classes, ...at })];
    }),
    ...tasksByMttc(cases),
  };
}

function tasksByMttc(cases: DrawCases): Pick<Drawn, "taskOrders" | "averages" | "randomFactors"> {
  return {
    taskOrders: cases.taskOrders.map(({ seed, step, tasks, stream }) =>
      Array.from(drawTaskOrders(seed, step, tasks, { stream }), Number),
    ),
    averages: cases.averages.map(({ losses, temperature }) => {
      const pairs = losses.map(([last, before], t) => {
        return [`${t}`, { last: last ?? Number.NaN, before: before ?? Number.NaN }] as const;
      });
      return [...dynamicAverage(new Map(pairs), temperature).values()];
    }),
    randomFactors: cases.randomFactors.map(({ seed, stream, step, present }) => {
      const drawn = present.flatMap((isThere, t) =>
        isThere ? [[`${t}`, normalNumber(seed, stream, step, t)] as const] : [],
      );
      const factors = randomSoftmax(new Map(drawn));
      return present.map((_, t) => factors.get(`${t}`) ?? 0);
    }),
  };
}
