// What `npm run bench -- epochs` trains: networks of peerNets.ts on photographs, as specs of mttc and as
// requests to peer_epochs.py.
import type { SpecInput } from "../../../compiler/spec/schema.ts";
import { PEER_NETS, type PeerNet, peerSpec } from "../peers/peerNets.ts";

export interface EpochCase {
  readonly name: string;
  readonly what: string;
  readonly net: PeerNet;
  /** Photographs to train on and to evaluate on, whole batches. */
  readonly train: number;
  readonly val: number;
  readonly epochs: number;
  readonly lr: number;
  /** Mirrored, and cut to at least 90 % of the area. */
  readonly augment: boolean;
  /** Whether a frozen trunk's features are computed once, on both sides. */
  readonly keepFeatures: boolean;
}

function netOf(name: string): PeerNet {
  const net = PEER_NETS.find((each) => each.name === name);
  if (!net) throw new Error(`there is no network ${name}`);
  return net;
}

const FROZEN = { net: netOf("resnet50-frozen"), train: 64, val: 16, lr: 1e-4 } as const;

export const EPOCH_CASES: readonly EpochCase[] = [
  {
    ...{ name: "demo", what: "the demo's net, 48 px, augmented", net: netOf("demo"), lr: 2e-3 },
    ...{ train: 640, val: 160, epochs: 5, augment: true, keepFeatures: false },
  },
  {
    ...{ name: "frozen", what: "frozen ResNet-50, 256 px, augmented", ...FROZEN },
    ...{ epochs: 3, augment: true, keepFeatures: false },
  },
  {
    ...{ name: "features", what: "frozen ResNet-50, 256 px, features kept", ...FROZEN },
    ...{ epochs: 5, augment: false, keepFeatures: true },
  },
  {
    ...{ name: "resnet18", what: "trained ResNet-18, 128 px, augmented", net: netOf("resnet18"), lr: 1e-4 },
    ...{ train: 160, val: 32, epochs: 4, augment: true, keepFeatures: false },
  },
];

/** Files of a case. */
export interface CaseFiles {
  readonly models: string;
  readonly train: string;
  readonly val: string;
}

/** The case as a spec that trains into `logdir`. */
export function epochSpec(one: EpochCase, { models, train, val }: CaseFiles, logdir: string): SpecInput {
  const { net, epochs, lr, augment, keepFeatures } = one;
  return {
    ...peerSpec(net, models),
    ...{ logdir, train_labels: train, val_labels: val, epochs, lr },
    image_root: "/",
    balance_probs: false,
    augment: augment && { flip_left_right: true, zoom_scale: 0.9 },
    cache_features: keepFeatures,
  };
}

/** How PyTorch trains a case. */
export interface EpochSetting {
  readonly layout: "contiguous" | "channels_last";
  readonly wait: "active" | "passive";
  readonly fused: boolean;
  readonly workers: number;
}

/** The case as peer_epochs.py takes it; `rows` limits both tables. */
export function epochRequest(
  one: EpochCase,
  { models, train, val }: CaseFiles,
  more: EpochSetting & {
    readonly threads: number;
    readonly checkpoints: string;
    readonly epochs: number;
    readonly rows: number | null;
  },
): object {
  const { net, lr, augment, keepFeatures } = one;
  return { ...{ net, models, train, val, lr, augment, keep_features: keepFeatures }, ...more };
}
