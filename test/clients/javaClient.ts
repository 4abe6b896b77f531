// The client of examples/clients/java: ONNX Runtime's Java, built with Maven.
import { join } from "node:path";
import { CMYK_READ_MEAN } from "../tolerances.ts";
import { type Client, clientFolder, runToEnd } from "./client.ts";

/** What Maven says where a package is not to be had: no network, and never fetched before. */
const UNREACHED = /Could not (?:resolve|transfer)|Unknown host|offline mode/;

/** Builds the jar into `cache`, or says why that cannot be. */
export async function buildJar(cache: string): Promise<string | { readonly missing: string }> {
  const pom = join(clientFolder("java"), "pom.xml");
  const words = ["mvn", "-q", "-B", "-f", pom, "package", `-Dbuild=${cache}`];
  const { code, stdout, stderr } = await runToEnd(words, { stuckMs: 600_000 });
  if (code === 0) return join(cache, "mttc.jar");
  const said = `${stdout}${stderr}`;
  if (UNREACHED.test(said)) return { missing: "Maven does not get the packages of the Java client" };
  throw new Error(`Maven ended with ${code}:\n${said}`);
}

export const javaClient: Client = {
  language: "Java",
  folder: "java",
  needs: ["java", "mvn"],
  // The grid of colours in the metadata, linear between them.
  mean: { "cmyk.jpg": CMYK_READ_MEAN },
  build: async (cache) => {
    const jar = await buildJar(cache);
    return typeof jar === "string" ? ["java", "-jar", jar] : jar;
  },
  // Names of files are what the locale says.
  env: { LC_ALL: "C.UTF-8" },
};
