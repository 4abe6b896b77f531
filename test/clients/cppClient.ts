// The client of examples/clients/cpp: ONNX Runtime's C API behind owners, nlohmann's JSON, the reader of C.
import { join } from "node:path";
import { cClient, READER_LIBRARIES } from "./cClient.ts";
import { buildStep, type Client, clientFolder } from "./client.ts";
import { missingLibraries, ortHeaders } from "./nativeBuild.ts";

export const cppClient: Client = {
  language: "C++",
  folder: "cpp",
  needs: ["c++", "cc", "make", "cmake", "pkg-config"],
  ...(cClient.refuses && { refuses: cClient.refuses }),
  build: async (cache) => {
    const lacking = await missingLibraries([...READER_LIBRARIES, "nlohmann_json"]);
    const headers = await ortHeaders();
    if (lacking || typeof headers !== "string") return lacking ?? (headers as { readonly missing: string });
    await buildStep(["cmake", "-S", clientFolder("cpp"), "-B", cache, `-DORT_INCLUDE=${headers}`]);
    await buildStep(["cmake", "--build", cache]);
    return [join(cache, "predict")];
  },
};
