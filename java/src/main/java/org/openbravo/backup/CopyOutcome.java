package org.openbravo.backup;

import java.util.Map;

/** What became of a copy that follows a backup. */
public final class CopyOutcome extends Document {
  CopyOutcome(Map<String, Object> fields) {
    super(fields);
  }

  /** The other repository's name. */
  public String repository() {
    return text("repository");
  }

  /** What was copied, or null where it failed. */
  public Copied copied() {
    return document("copied", Copied::new);
  }

  /** What went wrong, or null. */
  public String message() {
    return text("message");
  }

  /** What to do about it, or null. */
  public String hint() {
    return text("hint");
  }
}
