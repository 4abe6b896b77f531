package mttc.train;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import mttc.Console;
import mttc.Refusal;

/** The command line: trains a bundle on a label table and writes the state. */
public final class Train {
  private static final String USAGE =
      "usage: java -cp mttc.jar mttc.train.Train BUNDLE TABLE OUT.safetensors [--epochs N]";
  private static final String EPOCHS = "--epochs";

  private Train() {}

  public static void main(String[] arguments) {
    Console.run(console -> run(new ArrayList<>(List.of(arguments)), console));
  }

  private static void run(List<String> arguments, Console console) {
    if (arguments.contains("--help")) {
      console.print(USAGE);
      return;
    }
    int epochs = 0;
    int option = arguments.indexOf(EPOCHS);
    if (option >= 0 && option + 1 < arguments.size()) {
      epochs = count(arguments.remove(option + 1));
      arguments.remove(option);
    }
    if (arguments.size() != 3 || arguments.stream().anyMatch(word -> word.startsWith("--")))
      throw new Refusal("E_USAGE", USAGE);
    var paths = arguments.stream().map(Console::path).toList();
    train(paths.get(0), paths.get(1), paths.get(2), epochs, console);
  }

  private static void train(Path bundle, Path table, Path out, int epochs, Console console) {
    Safetensors.refuseOther(out);
    try (var trainer = new Trainer(bundle, table, epochs)) {
      for (int epoch = 1; epoch <= trainer.epochs(); epoch++) {
        var figures = trainer.train(epoch);
        console.print("epoch " + epoch + ": " + losses(figures));
      }
      trainer.save(out);
    }
  }

  /** Of each task the mean loss. */
  private static String losses(Map<String, Double> figures) {
    return figures.keySet().stream()
        .filter(name -> name.endsWith(" loss_sum"))
        .map(name -> name.substring(0, name.length() - " loss_sum".length()))
        .map(task -> task + " " + figures.get(task + " loss_sum") / figures.get(task + " count"))
        .collect(Collectors.joining(", "));
  }

  private static int count(String text) {
    try {
      int count = Integer.parseInt(text);
      if (count > 0) return count;
    } catch (NumberFormatException error) {
      // Said below.
    }
    throw new Refusal("E_USAGE", EPOCHS + " takes a whole number from 1 on, not " + text);
  }
}
