// The client of examples/clients/python: onnxruntime, numpy and Pillow.
import { join } from "node:path";
import { pythonWith } from "../python.ts";
import { CMYK_READ_MEAN } from "../tolerances.ts";
import { type Client, clientFolder } from "./client.ts";

export const pythonClient: Client = {
  language: "Python",
  folder: "python",
  needs: ["python3"],
  // The grid of colours in the metadata, linear between them.
  mean: { "cmyk.jpg": CMYK_READ_MEAN },
  build: async () => {
    const python = pythonWith("onnxruntime", "numpy", "PIL");
    if (python === undefined) return { missing: "no python3 with onnxruntime, numpy and pillow" };
    return [python, join(clientFolder("python"), "predict.py")];
  },
  env: { PYTHONDONTWRITEBYTECODE: "1" },
};
