package org.openbravo.backup;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/** How the last runs ended, the newest first. */
public final class Runs extends Document {
  Runs(Map<String, Object> fields) {
    super(fields);
  }

  /** The runs. */
  public List<Run> runs() {
    return documents("runs", Run::new);
  }

  /** Why some may be missing. */
  public List<String> warnings() {
    return texts("warnings");
  }

  /** How one run ended. */
  public static final class Run extends Document {
    private Run(Map<String, Object> fields) {
      super(fields);
    }

    /** Its id. */
    public String id() {
      return text("id");
    }

    /** What was done: {@code backup}, {@code verify} and so on. */
    public String command() {
      return text("command");
    }

    /** Of a backup its type, or null. */
    public String type() {
      return text("type");
    }

    /** Where the repository is. */
    public String repository() {
      return text("repository");
    }

    /** The host that it ran on. */
    public String host() {
      return text("host");
    }

    /** When it began. */
    public Instant startedAt() {
      return time("started_at");
    }

    /** When it ended. */
    public Instant finishedAt() {
      return time("finished_at");
    }

    /**
     * {@code ok}, {@code partial}, {@code skipped}, or a {@link BackupException.Code} in small
     * letters.
     */
    public String outcome() {
      return text("outcome");
    }

    /** Whether it ended as it should. */
    public boolean isGood() {
      return "ok".equals(outcome());
    }

    /** What went wrong, or null. */
    public String message() {
      return text("message");
    }

    /** What to do about it, or null. */
    public String hint() {
      return text("hint");
    }

    /** The id of the backup that came of it, or null. */
    public String backup() {
      return text("backup");
    }
  }
}
