// The trainer of examples/clients/java, in the jar of its client.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { TRIES_TOOLCHAINS } from "../client.ts";
import { buildJar } from "../javaClient.ts";
import { programTrainer, type Trainer } from "./trainer.ts";

const ENV = { ORT_DISABLE_TELEMETRY: "1", LC_ALL: "C.UTF-8" };

export function javaTrainer(): Trainer {
  return {
    language: "Java",
    missing: () => {
      if (!TRIES_TOOLCHAINS) return "npm run test:clients tries it";
      const lacking = ["java", "mvn"].find((command) => spawnSync(command, ["-version"]).error);
      return lacking && `no ${lacking} on this machine`;
    },
    build: async (cache) => {
      // Not where the test of the clients builds, at the same time perhaps.
      const jar = await buildJar(join(cache, "trainer"));
      if (typeof jar !== "string") return jar;
      const java = ["java", "-cp", jar];
      const draws = join(import.meta.dirname, "Draws.java");
      return programTrainer([...java, "mttc.train.Train"], [...java, draws], ENV);
    },
    hasTypedErrors: true,
  };
}
