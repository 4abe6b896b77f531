// The programs that train a bundle from CONTRACT.md alone, one of each language.
import { javaTrainer } from "./javaTrainer.ts";
import { pythonTrainer } from "./pythonTrainer.ts";
import { rustTrainer } from "./rustTrainer.ts";
import type { Trainer } from "./trainer.ts";

export function trainers(): readonly Trainer[] {
  return [pythonTrainer(), rustTrainer(), javaTrainer()];
}
