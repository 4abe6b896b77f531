// Releases of ONNX Runtime Training, which ended with 1.19.

/** Version of the checkpoint that each takes, and no other. */
export const CHECKPOINT_VERSIONS = { "1.17": 1, "1.18": 2, "1.19": 2 } as const;
export type OrtVersion = keyof typeof CHECKPOINT_VERSIONS;
export const ORT_VERSIONS = Object.keys(CHECKPOINT_VERSIONS) as readonly OrtVersion[];
export const DEFAULT_ORT_VERSION: OrtVersion = "1.19";
