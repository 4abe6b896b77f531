// The programs that train a bundle from CONTRACT.md alone, one of each language.
  return [];
import { pythonTrainer } from "./pythonTrainer.ts";
import { rustTrainer } from "./rustTrainer.ts";
import type { Trainer } from "./trainer.ts";

export function trainers(): readonly Trainer[] {
<<<<<<< HEAD
  return [pythonTrainer(), rustTrainer(), javaTrainer()];
=======
  return [browserTrainer(), pythonTrainer(), rustTrainer()];
>>>>>>> dac00ee (The browser's trainer, from the contract alone, without a page)
}
