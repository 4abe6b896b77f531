package mttc;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.function.Consumer;

/** What the programs say: results on stdout, faults as `error E_...: what` on stderr, and the exit code. */
public final class Console {
  private final PrintStream out = utf8(FileDescriptor.out);
  private final PrintStream err = utf8(FileDescriptor.err);
  private int exitCode;

  private Console() {}

  /** Runs a program to its end, and exits: 0, or 2 where anything was refused. */
  public static void run(Consumer<Console> program) {
    System.setProperty("java.awt.headless", "true");
    var console = new Console();
    try {
      program.accept(console);
    } catch (Refusal refusal) {
      console.refuse(refusal);
    } catch (OutOfMemoryError error) {
      console.refuse(new Refusal("E_MODEL_ALLOC", "more memory is needed than this process has (java -Xmx)"));
    }
    console.out.flush();
    System.exit(console.exitCode);
  }

  public void print(String line) {
    out.println(line);
  }

  /** Whether nobody reads any more what is printed. */
  public boolean isClosed() {
    return out.checkError();
  }

  public void refuse(Refusal refusal) {
    err.println("error " + refusal.code() + ": " + refusal.getMessage().replaceAll("\\p{Cntrl}+", " "));
    exitCode = 2;
  }

  /** The path that a word names. E_FILE where the locale is no UTF-8: then Java cannot name every file. */
  public static Path path(String text) {
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
