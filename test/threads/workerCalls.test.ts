// What becomes of a worker thread that is no longer understood: nobody waits for ever, at its end neither.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import { WorkerCalls } from "../../runtime/threads/workerCalls.ts";
import { makeFolder } from "../images/imageFixtures.ts";

it("a thread that replies to no call is not understood any more, and closing ends it", async () => {
  const file = join(await makeFolder(), "stranger.mjs");
  const text = `import { parentPort } from "node:worker_threads";
    parentPort.on("message", () => parentPort.postMessage({ call: 99, value: 1 }));`;
  await writeFile(file, text);
  const death = { code: "E_DATA_WORKER", hint: "" } as const;
  const calls = new WorkerCalls<{ close(): void; read(): void }>(pathToFileURL(file), { name: "it", death });
  await expect(calls.call("read", [])).rejects.toThrow(/a reply to no call \(99\)/);
  expect(calls.hasEnded).toBe(true);
  await calls.close();
  await expect(calls.call("read", [])).rejects.toThrow(/a reply to no call/);
});
