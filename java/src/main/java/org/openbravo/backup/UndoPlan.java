package org.openbravo.backup;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/** What an undo would bring back. */
public final class UndoPlan extends Document {
  UndoPlan(Map<String, Object> fields) {
    super(fields);
  }

  /** The state that comes back. */
  public KeptState state() {
    return document("state", KeptState::new);
  }

  /** What a person should know before. */
  public List<String> notes() {
    return texts("notes");
  }

  /** A state that a restore or an undo has replaced. */
  public static final class KeptState extends Document {
    private KeptState(Map<String, Object> fields) {
      super(fields);
    }

    /** Since when. */
    public Instant at() {
      return time("at");
    }

    /** Its database, or null where it has none. */
    public String database() {
      return text("database");
    }

    /** Where its files are. */
    public List<String> directories() {
      return texts("directories");
    }

    /** The id of the backup that was taken of it just before, or null. */
    public String safetyBackup() {
      return text("safety_backup");
    }
  }
}
