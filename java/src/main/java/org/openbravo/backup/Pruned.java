package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/** What pruning does, or did. */
public final class Pruned extends Document {
  Pruned(Map<String, Object> fields) {
    super(fields);
  }

  /** Packs that are there. */
  public long packs() {
    return number("packs");
  }

  /** Bytes that are given back. */
  public long freedBytes() {
    return number("freed_bytes");
  }

  /** Bytes that are not needed, and that are given back when their grace is over. */
  public long condemnedBytes() {
    return number("condemned_bytes");
  }

  /** What could not be done, each with the reason. */
  public List<String> notes() {
    return texts("notes");
  }
}
