// The heartbeat thread of a process: nothing on it ever takes long, so that a process whose main thread
// computes is not taken for dead.
import { parentPort, workerData } from "node:worker_threads";
import { HeartbeatMonitor } from "./heartbeatMonitor.ts";
import type { HeartbeatOrder, HeartbeatStart } from "./heartbeatProtocol.ts";

const watch = new HeartbeatMonitor(workerData as HeartbeatStart, (news) => parentPort?.postMessage(news));
parentPort?.on("message", (order: HeartbeatOrder) => {
  watch.obey(order);
  // What is left to be sent still goes out.
  if (order.kind === "leave") parentPort?.close();
});
await watch.open();
