package org.openbravo.backup;

/**
 * What went wrong: a stable code for programs, a message that says what happened to what, and a
 * hint that says what to do about it.
 */
public final class BackupException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What kind of thing went wrong. The names are those of the command's JSON. */
  public enum Code {
    /** Anything without a code of its own. */
    FAILURE,
    /** The request makes no sense: arguments, configuration, an ambiguous id. */
    USAGE,
    /** The work was done, but not all of it. */
    PARTIAL,
    /** No such repository, backup, or part of one. */
    NOT_FOUND,
    /** Somebody else holds the lock, or another operation of the same {@link Backup} is running. */
    LOCKED,
    /** The encryption key is wrong or missing. */
    WRONG_KEY,
    /** No room on a device. */
    NO_SPACE,
    /** A format, server or client version that does not fit. */
    INCOMPATIBLE,
    /** Stored bytes are not what was written. */
    DAMAGED,
    /** A restore failed and everything is as it was before. */
    ROLLED_BACK,
    /** A restore failed and somebody has to act. */
    ACTION_NEEDED,
    /** Stopped on request. */
    CANCELLED,
    /** What was to be created is there already. */
    ALREADY_EXISTS,
    /** The operating system or the server refuses. */
    DENIED,
    /** The database cannot be reached. */
    UNREACHABLE,
    /** A hiccup; the same call may succeed later. */
    TRANSIENT,
    /** Reading or writing failed for another reason. */
    IO,
    /** A mistake in obbackup itself. */
    INTERNAL,
    /** The native library cannot be used here; the message says why. */
    LIBRARY,
    /** A code that this version does not know. */
    UNKNOWN;

    static Code of(String name) {
      for (Code code : values()) {
        if (code.name().equals(name)) {
          return code;
        }
      }
      return UNKNOWN;
    }
  }

  private final Code code;
  private final String hint;

  /** Called by the native library; {@code hint} may be null. */
  BackupException(String code, String message, String hint) {
    super(message);
    this.code = Code.of(code);
    this.hint = hint;
  }

  BackupException(Code code, String message, String hint, Throwable cause) {
    super(message, cause);
    this.code = code;
    this.hint = hint;
  }

  /** The kind; never null. */
  public Code code() {
    return code;
  }

  /** What to do about it: one sentence, or null where nothing sensible can be said. */
  public String hint() {
    return hint;
  }

  /** Whether the same call may succeed later without anybody changing anything. */
  public boolean isRetryable() {
    return code == Code.LOCKED || code == Code.UNREACHABLE || code == Code.TRANSIENT;
  }

  @Override
  public String toString() {
    String text = code + ": " + getMessage();
    return hint == null ? text : text + " (" + hint + ")";
  }
}
