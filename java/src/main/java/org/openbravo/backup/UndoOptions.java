package org.openbravo.backup;

import java.util.Collections;
import java.util.Map;

/** How to bring back the state before the last restore. */
public final class UndoOptions extends Request {
  private UndoOptions(Map<String, Object> options) {
    super(options);
  }

  /** The last restore, or the last undo; a backup of the present state is taken before. */
  public static UndoOptions last() {
    return new UndoOptions(Collections.emptyMap());
  }

  /** Do not take a backup of the present state before it is replaced. */
  public UndoOptions noSafetyBackup() {
    return new UndoOptions(with("no_safety_backup", true));
  }
}
