package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** What was forgotten. */
public final class Forgotten extends Document {
  Forgotten(Map<String, Object> fields) {
    super(fields);
  }

  /** The ids of the backups that are gone. */
  public List<String> forgotten() {
    return texts("forgotten");
  }

  /** How many of the instance's are left. */
  public long kept() {
    return number("kept");
  }

  /** What could not be done, each with the reason. */
  public List<String> notes() {
    return texts("notes");
  }

  /** The room that was given back afterwards, or null where that was not asked for. */
  public Pruned pruned() {
    return document("prune", Pruned::new);
  }
}
