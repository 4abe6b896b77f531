// What the rest of mttc asks of a provider: one table answers, and the answers hang together.
import { expect, test } from "vitest";
import { deviceNote, PROVIDER_NAMES, type Provider, providerTraits } from "../../runtime/ort/provider.ts";

const PROVIDERS: { readonly [Kind in Provider["kind"]]: Provider & { readonly kind: Kind } } = {
  cpu: { kind: "cpu" },
  cuda: { kind: "cuda", device: 3, tf32: false },
  webgpu: { kind: "webgpu" },
};

test.each(Object.values(PROVIDERS))("$kind: what is on a device has its memory, and says so", (provider) => {
  const traits = providerTraits(provider);
  expect(PROVIDER_NAMES[provider.kind]).toMatch(/ExecutionProvider$/);
  // Without memory of its own nothing is launched, captured or staged.
  if (traits.memory === null)
    expect(traits).toMatchObject({ launchesRuns: false, canCapture: false, arena: "cpu:0" });
  else expect(traits.hasChannelBlocks).toBe(false);
  expect(deviceNote(provider)).toBe(traits.memory === null ? undefined : `running on ${traits.title}`);
});

test("a device's number is that of its memory, its arena and its name", () => {
  expect(providerTraits(PROVIDERS.cuda)).toMatchObject({
    title: "CUDA device 3",
    memory: { name: "Cuda", device: 3 },
    arena: "gpu:3",
    target: "cuda",
    library: "cuda",
    roundsFactors: false,
  });
  expect(providerTraits({ ...PROVIDERS.cuda, tf32: true }).roundsFactors).toBe(true);
  expect(providerTraits(PROVIDERS.webgpu).target).toBe("cpu");
});
