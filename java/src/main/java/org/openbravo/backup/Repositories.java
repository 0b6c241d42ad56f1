package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** The repositories of the configuration. */
public final class Repositories extends Document {
  Repositories(Map<String, Object> fields) {
    super(fields);
  }

  /** All of them, by name. */
  public List<Named> repositories() {
    return documents("repositories", Named::new);
  }

  /** A repository of the configuration. */
  public static final class Named extends Document {
    private Named(Map<String, Object> fields) {
      super(fields);
    }

    /** Its name, as {@link OpenOptions#repository} takes it. */
    public String name() {
      return text("name");
    }

    /** Where it is. */
    public String url() {
      return text("url");
    }

    /** Whether it is meant where none is named. */
    public boolean isDefault() {
      return flag("default");
    }

    /** The repositories that its new backups are copied to. */
    public List<String> copyTo() {
      return texts("copy_to");
    }
  }
}
