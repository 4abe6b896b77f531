package mttc;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.LinkedHashMap;
import java.util.List;
import mttc.images.PictureReader.Pixels;

/** The command line: a line of JSON for each image; the exit code is 2 where something is refused. */
public final class Predict {
  private static final String USAGE = "usage: java -jar mttc.jar [--pixels DIR] MODEL IMAGE...";

  private final Console console;

  private Predict(Console console) {
    this.console = console;
  }

  public static void main(String[] arguments) {
    Console.run(console -> new Predict(console).run(new ArrayDeque<>(List.of(arguments))));
  }

  private void run(ArrayDeque<String> arguments) {
    Path pixels = null;
    while (!arguments.isEmpty() && arguments.peek().startsWith("--")) {
      var option = arguments.poll();
      if (option.equals("--help")) {
        console.print(USAGE);
        return;
      }
      if (!option.equals("--pixels") || arguments.isEmpty())
        throw new Refusal("E_USAGE", "the option " + option + " is unknown, or lacks its folder; " + USAGE);
      pixels = Console.path(arguments.poll());
    }
    if (arguments.size() < 2) throw new Refusal("E_USAGE", USAGE);
    try (var model = Model.open(Console.path(arguments.poll()))) {
      for (int i = 0; !arguments.isEmpty() && !console.isClosed(); i++)
        predict(model, arguments.poll(), pixels, i);
    }
  }

  /** A bad image costs its own line alone; a model that gives nonsense ends it all. */
  private void predict(Model model, String image, Path folder, int number) {
    Pixels picture;
    try {
      picture = model.read(Console.path(image));
    } catch (Refusal refusal) {
      console.refuse(refusal.getMessage().startsWith(image + ":") ? refusal : refusal.in(image));
      return;
    }
    if (folder != null) write(picture.data(), folder, number);
    var line = new LinkedHashMap<String, Object>();
    line.put("image", image);
    line.put("tasks", model.predict(picture).stream().map(Answer::toMap).toList());
    try {
      console.print(Json.MAPPER.writeValueAsString(line));
    } catch (JsonProcessingException error) {
      throw new IllegalStateException(error);
    }
  }

  private static void write(byte[] data, Path folder, int number) {
    try {
      Files.createDirectories(folder);
      Files.write(folder.resolve(number + ".raw"), data);
    } catch (IOException error) {
      throw new Refusal("E_FILE", folder + ": cannot be written: " + error.getMessage(), error);
    }
  }
}
