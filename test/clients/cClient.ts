// The client of examples/clients/c: ONNX Runtime's C API, libjpeg-turbo, libpng, libwebp, Little CMS, cJSON.
import { join } from "node:path";
import { CMYK_READ_MEAN } from "../tolerances.ts";
import { buildStep, type Client, clientFolder } from "./client.ts";
import { missingLibraries, ortHeaders } from "./nativeBuild.ts";

/** What the reader of images is linked with; C++ and Go use the same. */
export const READER_LIBRARIES = ["libjpeg", "libpng", "lcms2", "libwebp", "libwebpdemux"];

export const cClient: Client = {
  language: "C",
  folder: "c",
  needs: ["cc", "make", "pkg-config"],
  mean: { "cmyk.jpg": CMYK_READ_MEAN },
  build: async (cache) => {
    const lacking = await missingLibraries([...READER_LIBRARIES, "libcjson"]);
    const headers = await ortHeaders();
    if (lacking || typeof headers !== "string") return lacking ?? (headers as { readonly missing: string });
    await buildStep(["make", "--silent", `ORT_INCLUDE=${headers}`, `BUILD=${cache}`], {
      cwd: clientFolder("c"),
    });
    return [join(cache, "predict")];
  },
};
