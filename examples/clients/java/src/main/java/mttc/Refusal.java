package mttc;

/** Something that is refused: one of mttc's error codes, and what is wrong in words. */
public final class Refusal extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final String code;

  public Refusal(String code, String message) {
    super(message);
    this.code = code;
  }

  public Refusal(String code, String message, Throwable cause) {
    super(message, cause);
    this.code = code;
  }

  /** Such as E_IMG_FORMAT: mttc's compiler/diagnostics.ts lists them. */
  public String code() {
    return code;
  }

  /** The same with the file that it is about in front. */
  public Refusal in(Object file) {
    return new Refusal(code, file + ": " + getMessage(), this);
  }
}
