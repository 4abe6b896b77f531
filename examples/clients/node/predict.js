// Answers of a file that `mttc export` wrote, for pictures, with onnxruntime-node and sharp:
//
//     node predict.js [--pixels DIR] MODEL IMAGE...
//
// A line of JSON for each picture. What the model is, and how pictures must be read, stands in the file.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { answerOf } from "../browser/answers.js";
import { ClientError } from "../browser/errors.js";
import { checkSession, readMetadata } from "../browser/metadata.js";
import { readPicture } from "./reader.js";

process.env.ORT_DISABLE_TELEMETRY ??= "1";
const { InferenceSession, Tensor } = await import("onnxruntime-node");

/** An opened model. */
export class Model {
  #session;
  /** What the file says of itself. */
  metadata;

  constructor(session, metadata) {
    this.#session = session;
    this.metadata = metadata;
  }

  /** Opens a file; ClientError E_FILE, E_MODEL_PARSE, E_MODEL_META. */
  static async open(path) {
    const bytes = await readFile(path).catch((error) => {
      throw new ClientError("E_FILE", `${path}: ${error.message}`);
    });
    const metadata = readMetadata(bytes);
    const session = await InferenceSession.create(bytes, { logSeverityLevel: 4 }).catch((error) => {
      throw new ClientError("E_MODEL_PARSE", `${path}: ${error.message}`);
    });
    checkSession(metadata, session.inputMetadata, session.outputMetadata);
    return new Model(session, metadata);
  }

  /**
   * The answers to a picture's file, of each task in order, and the pixels that the model was given, [H,W,C].
   * ClientError of readPicture; E_MODEL_META for numbers that the file did not promise.
   */
  async answer(path) {
    const { data, height, width, channels } = await readPicture(path, this.metadata);
    const image = new Tensor("uint8", data, [1, height, width, channels]);
    const { tasks } = this.metadata;
    const outputs = await this.#session.run(
      { image },
      tasks.map(({ output }) => output),
    );
    return { answers: tasks.map((task) => answerOf(task, outputs[task.output].data)), pixels: data };
  }
}

async function main(words) {
  const folder = words[0] === "--pixels" ? words.splice(0, 2)[1] : undefined;
  const [file, ...images] = words;
  if (file === undefined || images.length === 0)
    throw new ClientError("E_USAGE", "predict.js MODEL IMAGE...");
  const model = await Model.open(file);
  for (const [i, image] of images.entries())
    try {
      const { answers, pixels } = await model.answer(image);
      if (folder !== undefined) await writeFile(join(folder, `${i}.raw`), pixels);
      console.log(JSON.stringify({ image, tasks: answers }));
    } catch (error) {
      complain(error);
    }
}

function complain(error) {
  if (!(error instanceof ClientError)) throw error;
  console.error(`error ${error.code}: ${error.message}`);
  process.exitCode = 2;
}

if (import.meta.filename === process.argv[1]) await main(process.argv.slice(2)).catch(complain);
