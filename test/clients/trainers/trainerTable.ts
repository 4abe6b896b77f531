// The programs that train a bundle from CONTRACT.md alone, one of each language.
import { browserTrainer } from "./browserTrainer.ts";
import { javaTrainer } from "./javaTrainer.ts";
import { pythonTrainer } from "./pythonTrainer.ts";
import { rustTrainer } from "./rustTrainer.ts";
import type { Trainer } from "./trainer.ts";

export function trainers(): readonly Trainer[] {
  return [browserTrainer(), pythonTrainer(), rustTrainer(), javaTrainer()];
}
