package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** What would be forgotten. */
public final class ForgetPlan extends Document {
  ForgetPlan(Map<String, Object> fields) {
    super(fields);
  }

  /** The instance's backups, the newest first, each with what becomes of it. */
  public List<Judged> backups() {
    return documents("backups", Judged::new);
  }

  /** How many of them go. */
  public long goes() {
    return number("goes");
  }

  /** Backups of other instances; nothing is done about them. */
  public long otherInstances() {
    return number("other_instances");
  }

  /** One backup, and what becomes of it. */
  public static final class Judged extends Document {
    private Judged(Map<String, Object> fields) {
      super(fields);
    }

    /** The backup. */
    public BackupSummary summary() {
      return new BackupSummary(fields());
    }

    /** The schedule that took it, or null. */
    public String schedule() {
      return text("schedule");
    }

    /** Whether it stays. */
    public boolean isKept() {
      return flag("kept");
    }

    /** Why it stays or goes. */
    public List<String> reasons() {
      return texts("reasons");
    }
  }
}
