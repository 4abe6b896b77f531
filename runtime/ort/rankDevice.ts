// Which device a rank computes on: of those that its process sees, the one at its place among the ranks of
// its host. A launcher may show each process a device of its own, or all of them all; whether two ranks came
// to the same one is seen once they have met (ranks/rankHosts.ts).
import type { ProviderRequest } from "./providerName.ts";

/**
 * What rank `localRank` of its host asks for where all of them ask for `request`, `visible` saying how many
 * devices its process sees: "cuda:1" is the first device of a range, "cuda" and "auto" begin at device 0.
 */
export function deviceOfRank(
  request: ProviderRequest,
  localRank: number,
  visible: () => number,
): ProviderRequest {
  if (request.kind !== "cuda" && request.kind !== "auto") return request;
  const first = request.device ?? 0;
  const offered = visible() - first;
  // That there is none is for the provider to say.
  return offered < 1 ? request : { ...request, device: first + (localRank % offered) };
}
