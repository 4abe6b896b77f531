// What the clients in C, C++ and Go are built with: headers of ONNX Runtime, libraries of the system.
import { runToEnd } from "./client.ts";

/** Has ONNX Runtime's C headers, of MIT licence, in a module of Go's registry. */
const HEADERS_MODULE = "github.com/yalue/onnxruntime_go@v1.27.0";
const DOWNLOAD_MS = 120_000;

/**
 * The folder of ONNX Runtime's headers: ORT_INCLUDE's, else one that Go downloads; why there is none, else.
 */
export async function ortHeaders(): Promise<string | { readonly missing: string }> {
  if (process.env.ORT_INCLUDE) return process.env.ORT_INCLUDE;
  const download = ["go", "mod", "download", "-json", HEADERS_MODULE];
  const { code, stdout } = await runToEnd(download, { stuckMs: DOWNLOAD_MS });
  const missing = "no headers of ONNX Runtime: Go does not download them, and ORT_INCLUDE names no folder";
  return code === 0 ? (JSON.parse(stdout) as { Dir: string }).Dir : { missing };
}

/** Which of these libraries pkg-config does not know, for a line that skips what needs them. */
export async function missingLibraries(
  names: readonly string[],
): Promise<{ readonly missing: string } | undefined> {
  const found = await Promise.all(names.map((name) => runToEnd(["pkg-config", "--exists", name])));
  const lacking = names.filter((_, i) => found[i]?.code !== 0);
  return lacking.length === 0 ? undefined : { missing: `no development files of ${lacking.join(", ")}` };
}
