package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** What a verification found. */
public final class Verification extends Document {
  Verification(Map<String, Object> fields) {
    super(fields);
  }

  /** Whether no data is lost. */
  public boolean isSound() {
    return flag("sound");
  }

  /** Backups looked at. */
  public long backups() {
    return number("backups");
  }

  /** Bytes of packs that were read and proven. */
  public long readBytes() {
    return number("read_bytes");
  }

  /** Everything that is not as it should be, damage first. */
  public List<Finding> findings() {
    return documents("findings", Finding::new);
  }

  /** Something that is not as it should be. */
  public static final class Finding extends Document {
    private Finding(Map<String, Object> fields) {
      super(fields);
    }

    /** {@code note} or {@code damage}. */
    public String severity() {
      return text("severity");
    }

    /** The object in the repository. */
    public String object() {
      return text("object");
    }

    /** What is wrong with it. */
    public String problem() {
      return text("problem");
    }

    /** The ids of the backups that it matters to. */
    public List<String> backups() {
      return texts("backups");
    }
  }
}
