package org.openbravo.backup;

import java.util.Map;

/** A repository that was made. */
public final class Initialized extends Document {
  Initialized(Map<String, Object> fields) {
    super(fields);
  }

  /** Where it is. */
  public String repository() {
    return text("repository");
  }

  /** Its id. */
  public String repositoryId() {
    return text("repository_id");
  }

  /** The configuration file that names it now. */
  public String configuration() {
    return text("configuration");
  }
}
