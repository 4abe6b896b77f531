// The client of examples/clients/node: onnxruntime-node and sharp.
import { join } from "node:path";
import { type Client, clientFolder } from "./client.ts";

export const nodeClient: Client = {
  language: "Node",
  folder: "node",
  needs: [],
  build: async () => [process.execPath, join(clientFolder("node"), "predict.js")],
};
