package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** The backups asked for, the newest first. */
public final class Listing extends Document {
  Listing(Map<String, Object> fields) {
    super(fields);
  }

  /** The backups. */
  public List<BackupSummary> backups() {
    return documents("backups", BackupSummary::new);
  }

  /** Manifests that cannot be read. */
  public List<Damaged> damaged() {
    return documents("damaged", Damaged::new);
  }

  /** The number of backups of other instances that were left out. */
  public long otherInstances() {
    return number("other_instances");
  }

  /** A manifest that cannot be read. */
  public static final class Damaged extends Document {
    private Damaged(Map<String, Object> fields) {
      super(fields);
    }

    /** Its path in the repository. */
    public String object() {
      return text("object");
    }

    /** Why. */
    public String problem() {
      return text("problem");
    }
  }
}
