// Every client of examples/clients/ gives the same answers for the same file and picture as `mttc predict`,
// reads odd pictures as training does, and refuses what lies. `npm run test:clients` prints how far each is
// away.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, type TestContext, test } from "vitest";
import { CLIENT_NUMBERS, CLIENT_READ_MEAN } from "../tolerances.ts";
import { answersIn, type Client, clientCache, hasCommand, runToEnd, TRIES_TOOLCHAINS } from "./client.ts";
import { type ClientAnswer, type ClientData, expectedAnswers, makeClientData } from "./clientData.ts";
import { CLIENTS } from "./clientTable.ts";
import { Differences } from "./differences.ts";
import { writeBadPictures, writeHostileModels } from "./hostileModels.ts";
import { vectorsBeside } from "./readerVectors.ts";

const BUILD_MS = 900_000;
const HOSTILE_AT_ONCE = 2;
/** What a typed error of a model looks like, at the head of a line of stderr. */
const MODEL_ERROR = /^error E_(MODEL_\w+|MODEL|FILE|ORT\w*): .+/m;
/** What a crash leaves on stderr. */
const CRASH =
  /Traceback|panicked|goroutine \d|Exception in thread|Segmentation|AddressSanitizer|^\s+at .+:\d+/m;

let data: ClientData;
let folder: string;
const differences = new Differences();

beforeAll(async () => {
  data = await makeClientData();
  folder = mkdtempSync(join(tmpdir(), "mttc-clients-"));
}, BUILD_MS);
afterAll(async () => {
  differences.print();
  rmSync(folder, { recursive: true, force: true });
  await data[Symbol.asyncDispose]();
});

describe.each(CLIENTS)("$language", (client) => {
  let command: readonly string[] | { readonly missing: string };
  beforeAll(async () => {
    command = await built(client);
  }, BUILD_MS);

  const words = (context: TestContext): readonly string[] =>
    "missing" in command ? context.skip(command.missing) : command;
  const run = async (context: TestContext, args: readonly string[]) =>
    await runToEnd([...words(context), ...args], { ...(client.env && { env: client.env }) });

  /** Its answers for pictures that it can read, and what it gave the model of each. */
  async function answersFor(context: TestContext, model: string, pictures: readonly string[]) {
    const pixels = mkdtempSync(join(folder, "pixels-"));
    const { code, stdout, stderr } = await run(context, ["--pixels", pixels, model, ...pictures]);
    expect([code, stderr]).toEqual([0, ""]);
    const answers = answersIn(stdout);
    expect(answers.map(({ image }) => image)).toEqual(pictures);
    return { answers, pixelsOf: (i: number) => readFileSync(join(pixels, `${i}.raw`)) };
  }

  test.for(["model", "oneTask", "grey", "fitted", "anySize", "anySizeGrey"] as const)(
    "answers plain pictures as mttc predict does (%s)",
    async (which, context) => {
      const model = data[which];
      const { answers } = await answersFor(context, model, data.pictures);
      const expected = await expectedAnswers(model, data.pictures);
      for (const { image, tasks } of answers) {
        const far = differences.add(client.language, "numbers", tasks, expected.get(image) ?? []);
        expect([image, far <= CLIENT_NUMBERS]).toEqual([image, true]);
        expect(tasks.map(answered)).toEqual(expected.get(image)?.map(answered));
      }
    },
  );

  test.for(["model", "anySize"] as const)(
    "reads odd pictures as training does (%s)",
    async (which, context) => {
      const vectors = vectorsBeside(data[which]);
      const refused = client.refuses ?? {};
      const readable = vectors.filter(({ file }) => !(file in refused));
      const pictures = readable.map(({ path }) => path);
      const { answers, pixelsOf } = await answersFor(context, data[which], pictures);
      for (const [i, { file, seen }] of readable.entries()) {
        const wanted = await sharp(readFileSync(seen)).removeAlpha().raw().toBuffer();
        const got = pixelsOf(i);
        expect([file, got.length]).toEqual([file, wanted.length]);
        const mean = differences.pixels(client.language, file, got, wanted);
        expect([file, mean <= (client.mean?.[file] ?? CLIENT_READ_MEAN)]).toEqual([file, true]);
      }
      // On the pixels that training sees, which every language decodes alike, the answers are those of mttc.
      const seen = await answersFor(
        context,
        data[which],
        readable.map((image) => image.seen),
      );
      for (const [i, { answers: wanted }] of readable.entries()) {
        const far = differences.add(client.language, "numbers", seen.answers[i]?.tasks ?? [], wanted);
        expect([readable[i]?.file, far <= CLIENT_NUMBERS]).toEqual([readable[i]?.file, true]);
        differences.add(client.language, "odd pictures", answers[i]?.tasks ?? [], wanted);
      }
    },
  );

  test("refuses by name what it cannot read", async (context) => {
    const refused = vectorsBeside(data.model).filter(({ file }) => file in (client.refuses ?? {}));
    for (const { path } of refused) {
      const { code, stdout, stderr } = await run(context, [data.model, path]);
      expect([path, code, stdout]).toEqual([path, 2, ""]);
      expect(stderr).toMatch(/^error E_IMG_(FORMAT|CHANNELS): /);
    }
  });

  test("names bad pictures, and goes on with the others", async (context) => {
    const [first = "", second = ""] = data.pictures;
    const bad = [...writeBadPictures(folder, first), join(folder, "nowhere.png")];
    const { code, stdout, stderr } = await run(context, [data.model, first, ...bad, second]);
    expect(code).toBe(2);
    expect(answersIn(stdout).map(({ image }) => image)).toEqual([first, second]);
    const named = [...stderr.matchAll(/^error E_\w+: (.+)$/gm)].map(([, text = ""]) => text);
    for (const picture of bad) expect(named.some((text) => text.includes(picture))).toBe(true);
    expect(stderr).not.toMatch(CRASH);
  });

  test(
    "refuses model files that lie",
    async (context) => {
      words(context);
      const hostile = writeHostileModels(data.model, folder);
      const models = [...hostile, { name: "no file", file: join(folder, "nowhere.onnx") }];
      const found = new Map<string, string>();
      const work = async (): Promise<void> => {
        for (let next = models.pop(); next; next = models.pop()) {
          const { code, stdout, stderr } = await run(context, [next.file, data.pictures[0] ?? ""]);
          const isTyped = code === 2 && stdout === "" && MODEL_ERROR.test(stderr) && !CRASH.test(stderr);
          if (!isTyped) found.set(next.name, `${code} ${stdout.slice(0, 200)} ${stderr.slice(0, 400)}`);
        }
      };
      await Promise.all(Array.from({ length: HOSTILE_AT_ONCE }, work));
      expect(Object.fromEntries(found)).toEqual({});
    },
    BUILD_MS,
  );
});

/** The client's command, or why it is not tried. */
async function built(client: Client): Promise<readonly string[] | { readonly missing: string }> {
  if (client.needs.length > 0 && !TRIES_TOOLCHAINS) return { missing: "npm run test:clients tries it" };
  for (const need of client.needs)
    if (!(await hasCommand(need))) return { missing: `no ${need} on this machine` };
  return await client.build(await clientCache(client.folder));
}

/** What must be equal to the letter: all but the numbers. */
function answered({ numbers: _, kind, answer, unsure = false, ...rest }: ClientAnswer) {
  return { kind, unsure, ...rest, ...(kind === "number" ? {} : { answer }) };
}
