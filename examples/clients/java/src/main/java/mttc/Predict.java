package mttc;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.LinkedHashMap;
import java.util.List;
import mttc.images.PictureReader.Pixels;

/** The command line: a line of JSON for each image; the exit code is 2 where something is refused. */
public final class Predict {
  private static final String USAGE = "usage: java -jar mttc.jar [--pixels DIR] MODEL IMAGE...";

  private final PrintStream out = utf8(FileDescriptor.out);
  private final PrintStream err = utf8(FileDescriptor.err);
  private int exitCode;

  public static void main(String[] arguments) {
    System.setProperty("java.awt.headless", "true");
    var program = new Predict();
    try {
      program.run(new ArrayDeque<>(List.of(arguments)));
    } catch (Refusal refusal) {
      program.refuse(refusal);
    } catch (OutOfMemoryError error) {
      program.refuse(new Refusal("E_MODEL_ALLOC", "the model takes more memory than this process has"));
    }
    program.out.flush();
    System.exit(program.exitCode);
  }

  private void run(ArrayDeque<String> arguments) {
    Path pixels = null;
    while (!arguments.isEmpty() && arguments.peek().startsWith("--")) {
      var option = arguments.poll();
      if (option.equals("--help")) {
        out.println(USAGE);
        return;
      }
      if (!option.equals("--pixels") || arguments.isEmpty())
        throw new Refusal("E_USAGE", "the option " + option + " is unknown, or lacks its folder; " + USAGE);
      pixels = path(arguments.poll());
    }
    if (arguments.size() < 2) throw new Refusal("E_USAGE", USAGE);
    try (var model = Model.open(path(arguments.poll()))) {
      for (int i = 0; !arguments.isEmpty() && !out.checkError(); i++)
        predict(model, arguments.poll(), pixels, i);
    }
  }

  /** A bad image costs its own line alone; a model that gives nonsense ends it all. */
  private void predict(Model model, String image, Path folder, int number) {
    Pixels picture;
    try {
      picture = model.read(path(image));
    } catch (Refusal refusal) {
      refuse(refusal.getMessage().startsWith(image + ":") ? refusal : refusal.in(image));
      return;
    }
    if (folder != null) write(picture.data(), folder, number);
    var line = new LinkedHashMap<String, Object>();
    line.put("image", image);
    line.put("tasks", model.predict(picture).stream().map(Answer::toMap).toList());
    try {
      out.println(Json.MAPPER.writeValueAsString(line));
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

  private void refuse(Refusal refusal) {
    err.println("error " + refusal.code() + ": " + refusal.getMessage().replaceAll("\\p{Cntrl}+", " "));
    exitCode = 2;
  }

  /** Where the locale is no UTF-8, Java cannot name every file. */
  private static Path path(String text) {
    try {
      if (!text.contains("\ufffd")) return Path.of(text);
    } catch (InvalidPathException error) {
      // Said below.
    }
    throw new Refusal("E_FILE", text + ": Java cannot name this file here; LC_ALL=C.UTF-8 helps");
  }

  private static PrintStream utf8(FileDescriptor stream) {
    return new PrintStream(new FileOutputStream(stream), false, StandardCharsets.UTF_8);
  }
}
