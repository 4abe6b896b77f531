// The ONNX Runtime thread: carries out the calls that arrive, one after the other. All of ORT is loaded, run
// and released here and nowhere else (a CUDA graph, later, belongs to the thread that captured it).
import { parentPort } from "node:worker_threads";
import { serveCalls } from "../threads/callServer.ts";
import type { OrtService } from "./ortProtocol.ts";
import { OrtServer } from "./ortServer.ts";

serveCalls<OrtService>(parentPort, new OrtServer());
