package org.openbravo.backup;

import java.util.List;
import java.util.Map;

/**
 * Whether a repository can live in a place: what was tried there, with an object that is gone
 * again.
 */
public final class StorageTest extends Document {
  StorageTest(Map<String, Object> fields) {
    super(fields);
  }

  /** The place. */
  public String location() {
    return text("location");
  }

  /** Whether a repository can live there. */
  public boolean works() {
    return flag("works");
  }

  /** What was tried, in this order. */
  public List<Step> steps() {
    return documents("steps", Step::new);
  }

  /** One thing that was tried. */
  public static final class Step extends Diagnosis.Check {
    private Step(Map<String, Object> fields) {
      super(fields);
    }

    /** How long it took. */
    public long milliseconds() {
      return number("milliseconds");
    }
  }
}
