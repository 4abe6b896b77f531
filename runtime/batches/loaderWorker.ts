// The loader thread's file: started by LoaderThread, with a LoaderSetup.
import { parentPort, workerData } from "node:worker_threads";
import { ImageReader } from "../images/images.ts";
import { serveCalls } from "../threads/callServer.ts";
import type { LoaderService, LoaderSetup } from "./loaderProtocol.ts";
import { LoaderServer } from "./loaderServer.ts";

const { format, cacheBytes } = workerData as LoaderSetup;
serveCalls<LoaderService>(parentPort, new LoaderServer(new ImageReader(format, cacheBytes)));
