// What happens to calls when the ONNX Runtime thread ends, expectedly or not.
import { describe, expect, test } from "vitest";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import type { OrtService } from "../../runtime/ort/ortProtocol.ts";
import { WorkerCalls } from "../../runtime/threads/workerCalls.ts";
import { rejection } from "./rejection.ts";
import { addModel, longModel } from "./tinyModel.ts";

function start(source: string): WorkerCalls<OrtService> {
  const file = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  return new WorkerCalls(file, { name: "the thread", death: { code: "E_ORT" } });
}

/** A thread that answers nothing and runs `onMessage` at its first message. */
function worker(onMessage: string): WorkerCalls<OrtService> {
  const listen = `parentPort.on("message", () => { ${onMessage} });`;
  const source = `import { parentPort } from "node:worker_threads"; ${listen}`;
  return start(source);
}

describe("a thread that ends", () => {
  test.each([
    ["exits", "process.exit(7)", "exit code 7"],
    ["throws", "throw new TypeError('no such thing')", "no such thing"],
  ])("that %s rejects every open call and every later one", async (_, onMessage, reason) => {
    const calls = worker(onMessage);
    const open = [calls.call("read", [["a"]]), calls.call("free", [["a"]])].map(rejection);
    for (const error of await Promise.all(open)) {
      expect(error.code).toBe("E_ORT");
      expect(error.message).toContain(reason);
    }
    expect((await rejection(calls.call("read", [["a"]]))).code).toBe("E_ORT");
    await calls.close();
  });

  test("a thread whose file cannot be started rejects too", async () => {
    const calls = start("throw new Error('broken file')");
    expect((await rejection(calls.call("start", [{}]))).message).toContain("broken file");
  });
});

describe("closing", () => {
  test("calls made before close are carried out, later ones refused; closing twice is harmless", async () => {
    const host = await OrtHost.start({ intraOpThreads: 1 });
    const opened = host.openGraph("g", { bytes: addModel() });
    await Promise.all([host.close(), host.close()]);
    expect((await opened).inputs).toHaveLength(2);
    expect((await rejection(host.read([]))).message).toContain("was closed");
  });

  test("a host can be held with `await using`, and another can be started afterwards", async () => {
    for (let round = 0; round < 2; round++) {
      await using host = await OrtHost.start({ intraOpThreads: 1 });
      await host.openGraph("g", { bytes: longModel(8, 2) });
    }
  });
});
