// The client of examples/clients/go: onnxruntime_go, and the reader of C through cgo.
import { join } from "node:path";
import { CMYK_READ_MEAN } from "../tolerances.ts";
import { READER_LIBRARIES } from "./cClient.ts";
import { buildStep, type Client, clientFolder, runToEnd } from "./client.ts";
import { missingLibraries } from "./nativeBuild.ts";

export const goClient: Client = {
  language: "Go",
  folder: "go",
  needs: ["go", "cc", "pkg-config"],
  mean: { "cmyk.jpg": CMYK_READ_MEAN },
  build: async (cache) => {
    const lacking = await missingLibraries(READER_LIBRARIES);
    if (lacking) return lacking;
    const program = join(cache, "predict");
    const env = { GOCACHE: join(cache, "build"), GOFLAGS: "-mod=readonly -buildvcs=false" };
    const got = await runToEnd(["go", "mod", "download"], { cwd: clientFolder("go"), env });
    if (got.code !== 0) return { missing: "Go downloads no modules here" };
    await buildStep(["go", "build", "-o", program, "."], { cwd: clientFolder("go"), env });
    return [program];
  },
};
