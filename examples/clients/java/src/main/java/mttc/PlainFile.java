package mttc;

import java.nio.file.Files;
import java.nio.file.Path;

/** Files that may be opened: a pipe would have its reader wait for ever. */
public final class PlainFile {
  private PlainFile() {}

  /** The path itself. E_FILE where there is nothing, or anything but a file. */
  public static Path of(Path path) {
    if (Files.isRegularFile(path)) return path;
    var fault = Files.exists(path) ? ": expected a file" : ": there is no such file";
    throw new Refusal("E_FILE", path + fault);
  }
}
