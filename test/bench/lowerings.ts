// Measures every form of our own operators on ONNX Runtime's CPU, shape by shape: the numbers behind
// compiler/lower/cpu.ts. Run by hand, after a build: node dist/test/bench/lowerings.js [operator] [rounds].
// The forms of a shape take turns and the best of all rounds counts, since other work on the machine can only
// slow a run down. "*" marks what cpu.ts chooses.
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { type Op, readAttrs } from "../../compiler/ir/op.ts";
import { rewriteGraph } from "../../compiler/ir/rewrite.ts";
import { type Attrs, concreteShape, type DType, type Graph } from "../../compiler/ir/types.ts";
import { cpuTarget } from "../../compiler/lower/cpu.ts";
import { ruleOf } from "../../compiler/lower/forms.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { OrtSession } from "../../runtime/ort/session.ts";
import { OrtTensor } from "../../runtime/ort/tensor.ts";

const THREADS = 2;
const DEFAULT_ROUNDS = 25;
const WARM_UP_ROUNDS = 2;

interface Input {
  readonly shape: readonly number[];
  readonly dtype?: DType;
  /** Largest number; floats are drawn from 0 up, so that half of a cotangent is not negative by accident. */
  readonly high?: number;
}

interface Case {
  readonly op: string;
  readonly title: string;
  readonly inputs: readonly Input[];
  readonly attrs: Attrs;
  readonly outputs?: number;
  /** Multiply-adds times two, for convolutions. */
  readonly flops?: number;
  /** Forms that are not for this shape, or known to be hopeless. */
  readonly without?: readonly string[];
}

/** [N, C, K, pixels of a side] of 3x3 convolutions with stride 1 and pad 1, as nets of ours have them. */
const CONVOLUTIONS: readonly (readonly [number, number, number, number])[] = [
  [32, 3, 16, 48],
  [32, 3, 32, 64],
  [32, 16, 32, 24],
  [32, 32, 64, 12],
  [32, 32, 64, 32],
  [32, 64, 64, 6],
  [32, 64, 64, 24],
  [32, 64, 128, 16],
  [16, 128, 128, 16],
  [32, 128, 128, 8],
  [16, 256, 256, 8],
  [8, 512, 512, 8],
  [8, 64, 64, 48],
];
const POINTWISE: typeof CONVOLUTIONS = [
  [32, 32, 64, 24],
  [32, 64, 64, 12],
  [16, 256, 64, 16],
  [8, 512, 2048, 4],
];
/** [N, C, pixels of a side]. */
const MAPS: readonly (readonly [number, number, number])[] = [
  [32, 16, 48],
  [32, 32, 64],
  [32, 64, 32],
  [32, 128, 16],
  [64, 64, 24],
  [32, 64, 12],
  [16, 256, 8],
];

function convolutionCases(op: "ConvInputGrad" | "ConvWeightGrad"): Case[] {
  const of = (n: number, c: number, k: number, side: number, kernel: number, group: number): Case => {
    const [x, dy] = [
      [n, c, side, side],
      [n, k, side, side],
    ];
    const filters = [k, c / group, kernel, kernel];
    const pad = (kernel - 1) / 2;
    const attrs = { pads: [pad, pad, pad, pad], group };
    const kind = group > 1 ? "depthwise " : "";
    return {
      op,
      title: `${kind}${kernel}x${kernel} N${n} C${c} K${k} ${side}x${side}`,
      inputs: op === "ConvInputGrad" ? [{ shape: dy }, { shape: filters }] : [{ shape: x }, { shape: dy }],
      attrs:
        op === "ConvInputGrad" ? { ...attrs, input_shape: x } : { ...attrs, kernel_shape: [kernel, kernel] },
      flops: (2 * n * c * k * side * side * kernel * kernel) / group,
      without: group > 1 ? ["perTapBatched", "im2col", "im2colChannelMajor"] : ["depthwise", "rowProducts"],
    };
  };
  return [
    ...CONVOLUTIONS.map(([n, c, k, side]) => of(n, c, k, side, 3, 1)),
    ...POINTWISE.map(([n, c, k, side]) => of(n, c, k, side, 1, 1)),
    ...MAPS.filter(([, c]) => c > 16).map(([n, c, side]) => of(n, c, c, side, 3, c)),
  ];
}

function mapCases(): Case[] {
  return MAPS.flatMap(([n, c, side]): Case[] => {
    const [x, half, channel] = [[n, c, side, side], [n, c, side / 2, side / 2], { shape: [c] }];
    const title = `N${n} C${c} ${side}x${side}`;
    return [
      {
        op: "MaxPoolGrad",
        title: `2x2 ${title}`,
        inputs: [{ shape: half }, { shape: x }, { shape: half }],
        attrs: { kernel_shape: [2, 2], strides: [2, 2] },
      },
      {
        op: "BatchNormTraining",
        title,
        inputs: [{ shape: x }, channel, channel],
        attrs: {},
        outputs: 3,
      },
      {
        op: "BatchNormTrainingGrad",
        title,
        inputs: [{ shape: x }, { shape: x }, channel, channel, channel],
        attrs: {},
        outputs: 3,
      },
    ];
  });
}

const LOSSES: readonly Case[] = [
  [32, 12],
  [64, 100],
].flatMap(([n = 1, k = 1]): Case[] => {
  const inputs: Input[] = [{ shape: [n, k] }, { shape: [n], dtype: "int64", high: k - 1 }];
  const title = `N${n} K${k}`;
  return [
    { op: "MaskedCrossEntropy", title, inputs, attrs: {}, outputs: 3 },
    { op: "MaskedCrossEntropyGrad", title, inputs: [...inputs, { shape: [] }], attrs: {} },
  ];
});

const UPDATES: readonly Case[] = [1e4, 1e5, 1e6].map((size) => ({
  op: "AdamUpdate",
  title: `${size} numbers`,
  inputs: [...Array.from({ length: 4 }, () => ({ shape: [size] })), { shape: [] }],
  attrs: { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
  outputs: 3,
}));

/** The operator alone in the named form, and the form that the CPU's table chooses. */
function formGraph(op: Op, each: Case, form: string): { readonly graph: Graph; readonly chosen: string } {
  const b = new GraphBuilder(`${each.op} as ${form}`, OPS);
  const inputs = each.inputs.map(({ dtype = "float32", shape }, i) => b.input(`input${i}`, dtype, shape));
  b.emitAll(op.name, inputs, each.attrs, each.outputs ?? 1).forEach((value, i) => {
    b.output(`y${i}`, value);
  });
  const whole = b.build();
  const { graph } = rewriteGraph(whole, OPS, (node, at) =>
    op.lower[form]?.({
      b: at,
      inputs: node.inputs,
      outputs: node.outputs,
      attrs: readAttrs(op, node.attrs),
      input: (index) => node.inputs[index]!,
    }),
  );
  return { graph, chosen: whole.nodes.map((node) => ruleOf(cpuTarget.forms, op)?.(node) ?? "").join() };
}

function allocate(library: OrtLibrary, graph: Graph, inputs: readonly Input[]): Map<string, OrtTensor> {
  return new Map(
    graph.inputs.map(({ name, type: { dtype, shape } }, i) => {
      const tensor = OrtTensor.allocate(library, name, dtype, concreteShape(shape));
      const { data } = tensor.read();
      const high = inputs[i]?.high ?? 1;
      // A Weyl sequence: numbers spread evenly, the same in every run.
      const draw = (k: number): number => high * ((k * 0.6180339887498949) % 1);
      for (let k = 0; k < data.length; k++)
        data[k] = data instanceof BigInt64Array ? BigInt(Math.round(draw(k))) : draw(k);
      tensor.write(data);
      return [name, tensor];
    }),
  );
}

/** Best milliseconds of each form. */
function measure(library: OrtLibrary, op: Op, each: Case, rounds: number): [form: string, ms: number][] {
  const forms = Object.keys(op.lower).filter((form) => !each.without?.includes(form));
  const options = { intraOpThreads: THREADS };
  const sessions = forms.map((form) => {
    const { graph } = formGraph(op, each, form);
    const session = OrtSession.open(library, `${op.name} as ${form}`, { bytes: encodeGraph(graph) }, options);
    return { session, wanted: graph.outputs.map(({ name }) => name), bestMs: Number.POSITIVE_INFINITY };
  });
  const feeds = allocate(library, formGraph(op, each, forms[0] ?? "").graph, each.inputs);
  for (let round = 0; round < rounds + WARM_UP_ROUNDS; round++)
    for (const entry of sessions) {
      const startMs = performance.now();
      const results = entry.session.run(feeds, entry.wanted);
      const ms = performance.now() - startMs;
      for (const result of results) result[Symbol.dispose]();
      if (round >= WARM_UP_ROUNDS) entry.bestMs = Math.min(entry.bestMs, ms);
    }
  for (const { session } of sessions) session[Symbol.dispose]();
  for (const tensor of feeds.values()) tensor[Symbol.dispose]();
  return forms.map((form, i) => [form, sessions[i]?.bestMs ?? Number.NaN]);
}

function report(each: Case, times: readonly [string, number][], chosen: string): number {
  const best = Math.min(...times.map(([, ms]) => ms));
  const cells = times
    .toSorted(([, a], [, b]) => a - b)
    .map(([form, ms]) => {
      const speed = each.flops ? ` ${(each.flops / ms / 1e6).toFixed(0)} GF/s` : "";
      return `${form === chosen ? "*" : ""}${form} ${ms.toFixed(3)} ms${speed} x${(ms / best).toFixed(2)}`;
    });
  console.log(`${each.op} ${each.title}`.padEnd(52), cells.join(" | "));
  return (times.find(([form]) => form === chosen)?.[1] ?? Number.NaN) / best;
}

function main(only: string | undefined, rounds: number): void {
  const library = OrtLibrary.open();
  const cases = [
    ...convolutionCases("ConvInputGrad"),
    ...convolutionCases("ConvWeightGrad"),
    ...mapCases(),
    ...LOSSES,
    ...UPDATES,
  ].filter(({ op }) => only === undefined || op === only);
  const losses = cases.map((each) => {
    const op = OPS.get(each.op)!;
    const { chosen } = formGraph(op, each, Object.keys(op.lower)[0] ?? "");
    return report(each, measure(library, op, each, rounds), chosen);
  });
  library[Symbol.dispose]();
  const mean = Math.exp(losses.reduce((sum, loss) => sum + Math.log(loss), 0) / losses.length);
  console.log(
    `chosen forms against the best: geometric mean x${mean.toFixed(3)}, worst x${Math.max(...losses).toFixed(2)}`,
  );
}

main(process.argv[2], Number(process.argv[3] ?? DEFAULT_ROUNDS));
