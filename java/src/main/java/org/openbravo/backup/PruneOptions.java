package org.openbravo.backup;

import java.util.Collections;
import java.util.Map;

/** How to give back the room of what no backup needs. */
public final class PruneOptions extends Request {
  private PruneOptions(Map<String, Object> options) {
    super(options);
  }

  /** As the configuration says. */
  public static PruneOptions configured() {
    return new PruneOptions(Collections.emptyMap());
  }

  /** Delete what was condemned so many hours ago. */
  public PruneOptions graceHours(int hours) {
    return new PruneOptions(with("grace_hours", hours));
  }
}
