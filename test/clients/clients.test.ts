// Every client of examples/clients/ gives the same answers for the same file and picture as `mttc predict`,
// reads odd pictures as training does, and refuses what lies. `npm run test:clients` prints how far each is
// away.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, type TestContext, test } from "vitest";
import { CLIENT_NUMBERS } from "../tolerances.ts";
import { answersIn, type Client, clientCache, hasCommand, runToEnd, TRIES_TOOLCHAINS } from "./client.ts";
import { type ClientAnswer, type ClientData, expectedAnswers, makeClientData } from "./clientData.ts";
import { CLIENTS } from "./clientTable.ts";
import { Differences } from "./differences.ts";
import { writeBadPictures, writeHostileModels } from "./hostileModels.ts";

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
    return answers;
  }

  test.for(["model", "oneTask", "grey", "fitted"] as const)(
    "answers plain pictures as mttc predict does (%s)",
    async (which, context) => {
      const model = data[which];
      const answers = await answersFor(context, model, data.pictures);
      const expected = await expectedAnswers(model, data.pictures);
      for (const { image, tasks } of answers) {
        const far = differences.add(client.language, "numbers", tasks, expected.get(image) ?? []);
        expect([image, far <= CLIENT_NUMBERS]).toEqual([image, true]);
        expect(tasks.map(answered)).toEqual(expected.get(image)?.map(answered));
      }
    },
  );

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
