// The pulse thread of a process: nothing on it ever takes long, so that a process whose main thread computes
// is not taken for dead.
import { parentPort, workerData } from "node:worker_threads";
import type { PulseOrder, PulseStart } from "./pulseProtocol.ts";
import { PulseWatch } from "./pulseWatch.ts";

const watch = new PulseWatch(workerData as PulseStart, (news) => parentPort?.postMessage(news));
parentPort?.on("message", (order: PulseOrder) => {
  watch.obey(order);
  // What is left to be sent still goes out.
  if (order.kind === "leave") parentPort?.close();
});
await watch.open();
