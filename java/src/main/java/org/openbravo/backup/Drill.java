package org.openbravo.backup;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/** What a test restore found; it is written down with the backup. */
public final class Drill extends Document {
  Drill(Map<String, Object> fields) {
    super(fields);
  }

  /** The backup. */
  public BackupSummary backup() {
    return document("backup", BackupSummary::new);
  }

  /** Whether it was restored and every check held. */
  public boolean isPassed() {
    return flag("passed");
  }

  /** When it ended. */
  public Instant at() {
    return time("at");
  }

  /** Everything that was looked at. */
  public List<Check> checks() {
    return documents("checks", Check::new);
  }

  /** What a person should know. */
  public List<String> warnings() {
    return texts("warnings");
  }

  /** One thing that was looked at. */
  public static final class Check extends Document {
    private Check(Map<String, Object> fields) {
      super(fields);
    }

    /** What. */
    public String name() {
      return text("name");
    }

    /** {@code passed}, {@code failed}, or {@code skipped} where there was nothing to look at. */
    public String result() {
      return text("result");
    }

    /** What was found. */
    public String found() {
      return text("found");
    }

    /** What does not hold, each naming the thing. */
    public List<String> problems() {
      return texts("problems");
    }
  }
}
