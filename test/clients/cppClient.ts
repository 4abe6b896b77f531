// The client of examples/clients/cpp: ONNX Runtime's C API behind owners, nlohmann's JSON, the reader of C.
import { join } from "node:path";
import { CMYK_READ_MEAN } from "../tolerances.ts";
import { READER_LIBRARIES } from "./cClient.ts";
import { buildStep, type Client, clientFolder } from "./client.ts";
import { missingLibraries, ortHeaders } from "./nativeBuild.ts";

export const cppClient: Client = {
  language: "C++",
  folder: "cpp",
  needs: ["c++", "cc", "make", "cmake", "pkg-config"],
  mean: { "cmyk.jpg": CMYK_READ_MEAN },
  build: async (cache) => {
    const lacking = await missingLibraries([...READER_LIBRARIES, "nlohmann_json"]);
    const headers = await ortHeaders();
    if (lacking || typeof headers !== "string") return lacking ?? (headers as { readonly missing: string });
    await buildStep(["cmake", "-S", clientFolder("cpp"), "-B", cache, `-DORT_INCLUDE=${headers}`]);
    await buildStep(["cmake", "--build", cache]);
    return [join(cache, "predict")];
  },
};
