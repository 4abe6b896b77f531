// What the browser's trainer draws for the cases in a file (drawCases.ts), as JSON.
import { readFileSync } from "node:fs";
import { drawColumns } from "../../../examples/clients/browser/train/augment.js";
import { dropoutMask, epochOrder } from "../../../examples/clients/browser/train/order.js";
import { rateAt } from "../../../examples/clients/browser/train/schedule.js";
import { Stream } from "../../../examples/clients/browser/train/streams.js";
import {
  averageFactors,
  randomFactors,
  taskOrders,
} from "../../../examples/clients/browser/train/taskWeights.js";

const cases = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const times = (length, of) => Array.from({ length }, (_, i) => of(i));

const streams = cases.streams.map(({ seed, purpose, time, index, words, numbers }) => {
  const [ofWords, ofNumbers] = times(2, () => new Stream([seed, purpose, time, index]));
  return { words: times(words, () => ofWords.word()), numbers: times(numbers, () => ofNumbers.uniform()) };
});
const augment = cases.augment.map(({ stream, seed, epoch, first, samples, ...operation }) =>
  times(samples, (i) => [
    ...Float32Array.from(drawColumns(operation, [seed, stream, epoch, first + i], operation)),
  ]).flat(),
);
const schedules = cases.schedules.map(({ value, steps, run }) =>
  times(steps, (step) => rateAt(value, step, run)),
);
const masks = cases.masks.map(({ seed, stream, step, rate, shape }) => [
  ...dropoutMask(
    [seed, stream, step],
    rate,
    shape.reduce((product, size) => product * size),
  ),
]);
const orders = cases.orders.map(({ groups, batchSize, epoch, ...spec }) => {
  const rows = groups[0].length;
  const places = Math.ceil(rows / batchSize) * batchSize;
  return [...epochOrder(groups, spec, { rows, places, epoch })];
});
const tasks = {
  taskOrders: cases.taskOrders.map(({ seed, stream, step, tasks }) =>
    taskOrders([seed, stream, step], tasks),
  ),
  averages: cases.averages.map(({ temperature, losses }) =>
    averageFactors(
      losses.map((pair) => pair.map((loss) => loss ?? Number.NaN)),
      temperature,
    ),
  ),
  randomFactors: cases.randomFactors.map(({ seed, stream, step, present }) =>
    randomFactors([seed, stream, step], present),
  ),
};
console.log(JSON.stringify({ streams, augment, schedules, masks, orders, ...tasks }));
