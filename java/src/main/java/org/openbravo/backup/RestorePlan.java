package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** What a restore would do. */
public final class RestorePlan extends Document {
  RestorePlan(Map<String, Object> fields) {
    super(fields);
  }

  /** The backup. */
  public BackupSummary backup() {
    return document("backup", BackupSummary::new);
  }

  /** Whether the instance is replaced. */
  public boolean isInPlace() {
    return flag("in_place");
  }

  /** What the restore would not bring back, or changes on the way, each with the reason. */
  public List<String> notes() {
    return texts("notes");
  }
}
