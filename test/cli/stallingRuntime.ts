// Loaded before the command line (node --import): has the ONNX Runtime thread of one rank stand still in
// native code before a step, by a pipe that nobody writes. STALLING_RANK is "RANK CALL PIPE".
import { isMainThread } from "node:worker_threads";
import { OrtHost } from "../../runtime/ort/ortHost.ts";

const [rank, call, pipe = ""] = (process.env.STALLING_RANK ?? "").split(" ");
const { step } = OrtHost.prototype;
let calls = 0;

if (isMainThread && process.env.PMI_RANK === rank)
  OrtHost.prototype.step = function (this: OrtHost, ...args) {
    calls += 1;
    if (calls === Number(call)) this.openGraph("pipe", { path: pipe }).catch(() => undefined);
    return step.apply(this, args);
  };
