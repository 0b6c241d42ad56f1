package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** What a test restore would do. */
public final class DrillPlan extends Document {
  DrillPlan(Map<String, Object> fields) {
    super(fields);
  }

  /** The backup. */
  public BackupSummary backup() {
    return document("backup", BackupSummary::new);
  }

  /** The scratch database, or null where the backup has none. */
  public String database() {
    return text("database");
  }

  /** The scratch directory. */
  public String directory() {
    return text("directory");
  }

  /** Bytes that both take. */
  public long neededBytes() {
    return number("needed_bytes");
  }

  /** What the restore would not bring back, each with the reason. */
  public List<String> notes() {
    return texts("notes");
  }
}
