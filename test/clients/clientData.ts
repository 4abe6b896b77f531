// What the clients of all languages are tried on: a run of four tasks of three kinds on the tiny pictures,
// its exports, and what `mttc predict` answers.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exportRun, type Prediction, Predictor } from "../../runtime/mttc.ts";
import { makeTinyData } from "../cli/tinyData.ts";
import { trainedTiny } from "../export/trainedTiny.ts";

/** Height and width of the models: neither square nor the pictures' own. */
export const MODEL_SIZE = [24, 32] as const;
const EPOCHS = 6;
/** One in so many rows lacks its tags, its number. */
const HOLES = { marks: 4, area: 5 };

const TASKS = [
  "colour",
  "its shape",
  { name: "marks", kind: "tags" },
  { name: "area", kind: "number", loss: "huber" },
];

/** Exports to be asked: folders of ONNX files. */
export interface ClientData extends AsyncDisposable {
  readonly folder: string;
  /** All tasks in one file, and a file of one task. */
  readonly model: string;
  readonly oneTask: string;
  /** A model of grey pictures. */
  readonly grey: string;
  /** Unsure below a probability, thresholds and intervals fitted. */
  readonly fitted: string;
  /** Pictures of any size, resized in the graph. */
  readonly anySize: string;
  /** The same of grey ones, which the graph makes of RGB. */
  readonly anySizeGrey: string;
  /** Plain pictures, PNG of 8 bits RGB, of another size than the models'. */
  readonly pictures: readonly string[];
}

/** Trains and exports; seconds. */
export async function makeClientData(): Promise<ClientData> {
  const data = await makeTinyData();
  const { folder } = data;
  for (const table of ["train", "val"]) await addColumns(join(folder, `${table}.csv`));
  const changes = { tasks: TASKS, imshape: [...MODEL_SIZE] } as Parameters<typeof trainedTiny>[1];
  const at = (name: string, file = "model.onnx") => join(folder, name, file);
  {
    await using trainer = await trainedTiny(folder, changes, EPOCHS);
    await exportRun(trainer, { directory: join(folder, "plain"), readerVectors: true });
    await exportRun(trainer, { directory: join(folder, "anySize"), anySize: true, readerVectors: true });
    const unsure = { coverage: 0.7 };
    await exportRun(trainer, { directory: join(folder, "fitted"), calibrate: true, unsure });
  }
  {
    const grey = { ...changes, single_channel: true, logdir: "grey-run" };
    await using trainer = await trainedTiny(folder, grey, 1);
    await exportRun(trainer, { directory: join(folder, "grey") });
    await exportRun(trainer, { directory: join(folder, "anySizeGrey"), anySize: true });
  }
  const names = (await readdir(join(folder, "images"))).filter((name) => name.startsWith("val-"));
  return {
    folder,
    model: at("plain"),
    oneTask: at("plain", "its_shape.onnx"),
    grey: at("grey"),
    fitted: at("fitted"),
    anySize: at("anySize"),
    anySizeGrey: at("anySizeGrey"),
    pictures: names.toSorted().map((name) => join(folder, "images", name)),
    [Symbol.asyncDispose]: () => data[Symbol.asyncDispose](),
  };
}

/** Adds tags and a number that follow from a row's class and place. */
async function addColumns(table: string): Promise<void> {
  const [head, ...rows] = (await readFile(table, "utf8")).trimEnd().split("\n");
  const lines = rows.map((line, row) => {
    const tags = [row % 2 === 1 ? "warm" : "", row % 3 === 0 ? "long" : "round"].filter(Boolean).join("|");
    const area = [64, 28.5, 51.25][row % 3];
    return `${line},${row % HOLES.marks === 3 ? "" : tags},${row % HOLES.area === 4 ? "" : area}`;
  });
  await writeFile(table, `${[`${head},marks,area`, ...lines].join("\n")}\n`);
}

/** What a client, or mttc, says of one task of an image. */
export interface ClientAnswer {
  readonly task: string;
  readonly kind: string;
  readonly answer: unknown;
  readonly numbers: readonly number[];
  readonly unsure?: boolean;
  readonly within?: unknown;
}

/** `mttc predict` of pictures, in the clients' form, by picture. */
export async function expectedAnswers(
  model: string,
  pictures: readonly string[],
): Promise<ReadonlyMap<string, readonly ClientAnswer[]>> {
  await using predictor = await Predictor.open(model);
  const kinds = new Map(predictor.metadata.tasks.map(({ name, kind = "classes" }) => [name, kind]));
  const answers = new Map<string, ClientAnswer[]>(pictures.map((picture) => [picture, []]));
  for await (const prediction of predictor.predict(pictures)) {
    const kind = kinds.get(prediction.task) ?? "";
    answers.get(prediction.file)?.push({ task: prediction.task, kind, ...answerOf(prediction, kind) });
  }
  return answers;
}

function answerOf(
  prediction: Prediction,
  kind: string,
): Pick<ClientAnswer, "answer" | "numbers" | "unsure" | "within"> {
  const { class: best, tags, probabilities, unsure, value, within } = prediction as Record<string, unknown>;
  if (kind === "number") {
    const values = Array.isArray(value) ? value : [value];
    return { answer: values, numbers: values, ...(within !== undefined && { within: [within].flat() }) };
  }
  const numbers = Object.values(probabilities as Record<string, number>);
  const isUnsure = unsure === true ? { unsure } : {};
  return { answer: kind === "tags" ? tags : best, numbers, ...isUnsure };
}
