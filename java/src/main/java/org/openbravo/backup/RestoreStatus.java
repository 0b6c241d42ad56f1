package org.openbravo.backup;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/** A restore in place or an undo as it is now, or as it ended. */
public final class RestoreStatus extends Document {
  RestoreStatus(Map<String, Object> fields) {
    super(fields);
  }

  /** Its id; those of later ones sort behind. */
  public String job() {
    return text("job");
  }

  /** Whether the last restore is undone, and not a backup restored. */
  public boolean isUndo() {
    return "undo".equals(about().text("verb"));
  }

  /** The id of the backup that is restored, or null for an undo. */
  public String backup() {
    return about().text("backup");
  }

  /** That backup's label, or null. */
  public String label() {
    return about().text("label");
  }

  /** Of when the state is that comes back. */
  public Instant takenAt() {
    return about().time("taken_at");
  }

  /** Whether it still runs. */
  public boolean isRunning() {
    return outcome() == null;
  }

  /**
   * What it is at: {@code planning}, {@code safety_backup}, {@code staging}, {@code verifying},
   * {@code stopping}, {@code swapping}, {@code starting}, {@code probing} or {@code done}.
   */
  public String stage() {
    return text("stage");
  }

  /** What it does within that, or null. */
  public String activity() {
    return text("activity");
  }

  /** How far it is in all, 0 to 100. */
  public int percent() {
    return (int) number("percent");
  }

  /** Seconds until the application answers again, or null where that is not known. */
  public Long secondsLeft() {
    return numberOrNull("seconds_left");
  }

  /** The port of its own that the page is on, or null where it has none, or not yet. */
  public Long pagePort() {
    return numberOrNull("page_port");
  }

  /** When it began. */
  public Instant startedAt() {
    return time("started_at");
  }

  /** When it ended; null while it runs, and where its process ended without a word. */
  public Instant finishedAt() {
    return time("finished_at");
  }

  /** What came of it, or null while it runs. */
  public Outcome outcome() {
    return document("outcome", Outcome::new);
  }

  /** What a person should know although the work goes on. */
  public List<String> warnings() {
    return texts("warnings");
  }

  private Document about() {
    return inner("about");
  }

  /** What came of it. */
  public static final class Outcome extends Document {
    private Outcome(Map<String, Object> fields) {
      super(fields);
    }

    /**
     * {@code restored}; {@code put_back} where everything is as it was before; {@code
     * action_needed} where somebody has to act; {@code nothing_changed} where it ended before
     * anything was replaced.
     */
    public String verdict() {
      return text("verdict");
    }

    /** Whether the new state is in place. */
    public boolean isRestored() {
      return "restored".equals(verdict());
    }

    /** In a sentence. */
    public String message() {
      return text("message");
    }

    /** What to do about it, or null. */
    public String hint() {
      return text("hint");
    }
  }
}
