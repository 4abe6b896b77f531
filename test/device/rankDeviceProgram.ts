// One rank of a test of devices: joins as the trainer does, and reports which device it came to. Arguments:
// the provider's name, ONNX Runtime's folder, the stand-in's folder, and by rank how many devices it sees
// ("2" or "2,0") and the letter of their UUIDs ("a" or "a,b").
import path from "node:path";
import { CUDA_DRIVER } from "../../runtime/ort/cudaLibraries.ts";
import { loadLibrary, setNativeVariable } from "../../runtime/ort/ffi.ts";
import type { ProviderName } from "../../runtime/ort/providerName.ts";
import type { RankEnd } from "../../runtime/ranks/channelProtocol.ts";
import { Ranks } from "../../runtime/train/ranks.ts";
import { codeOf, report } from "../ranks/rankReport.ts";

const [name = "", ortLibrary, build = "", counts = "", letters = ""] = process.argv.slice(2);
const rank = Number(process.env.PMI_RANK);
const ofRank = (texts: string): string => texts.split(",")[rank] ?? texts;
setNativeVariable("MTTC_TEST_DEVICES", ofRank(counts));
setNativeVariable("MTTC_TEST_UUID", ofRank(letters));
const driver = loadLibrary(path.join(build, CUDA_DRIVER));

async function lead(ranks: Ranks): Promise<void> {
  let end: RankEnd = { kind: "done" };
  try {
    await ranks.hub.request({ kind: "close" });
  } catch (error) {
    end = { kind: "failed", error };
    reportFault(error);
  }
  await ranks.close(end);
}

function reportFault(error: unknown): void {
  report(rank, { code: codeOf(error), error: String(error) });
}

try {
  const executionProvider = name as ProviderName;
  const ranks = await Ranks.join({ executionProvider, ortLibrary, strategy: "mpi" });
  report(rank, { provider: ranks.host.provider, cores: ranks.place.cores, driver: driver !== null });
  if (rank === 0) await lead(ranks);
  else await ranks.follow();
} catch (error) {
  reportFault(error);
}
