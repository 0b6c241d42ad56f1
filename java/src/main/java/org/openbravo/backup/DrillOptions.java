package org.openbravo.backup;

import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;
import java.util.Objects;

/** Which backup to restore for trial, and where. */
public final class DrillOptions extends Request {
  private DrillOptions(Map<String, Object> options) {
    super(options);
  }

  /** The backup with this id (its first digits, at least four), or {@code latest}. */
  public static DrillOptions of(String id) {
    Objects.requireNonNull(id);
    return new DrillOptions(Collections.singletonMap("id", id));
  }

  /**
   * The files below this directory; by default that of {@code [drill]}, else {@code java.io.tmpdir}
   * or /var/tmp, whichever has room.
   */
  public DrillOptions directory(Path directory) {
    return new DrillOptions(with("directory", directory.toString()));
  }
}
