package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** Whether backups and restores can work here. */
public final class Diagnosis extends Document {
  Diagnosis(Map<String, Object> fields) {
    super(fields);
  }

  /** Whether nothing would fail. */
  public boolean isHealthy() {
    return flag("healthy");
  }

  /** Everything that was looked at. */
  public List<Check> checks() {
    return documents("checks", Check::new);
  }

  /** One thing that was looked at. */
  public static class Check extends Document {
    Check(Map<String, Object> fields) {
      super(fields);
    }

    /** What. */
    public String name() {
      return text("name");
    }

    /** {@code ok}, {@code warning} or {@code failure}. */
    public String result() {
      return text("result");
    }

    /** What was found. */
    public String found() {
      return text("found");
    }

    /** What to do, or null. */
    public String remedy() {
      return text("remedy");
    }
  }
}
