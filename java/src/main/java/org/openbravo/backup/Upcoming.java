package org.openbravo.backup;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/** The scheduled backups ahead. */
public final class Upcoming extends Document {
  Upcoming(Map<String, Object> fields) {
    super(fields);
  }

  /** By schedule. */
  public List<OfSchedule> schedules() {
    return documents("schedules", OfSchedule::new);
  }

  /** The backups of one schedule. */
  public static final class OfSchedule extends Document {
    private OfSchedule(Map<String, Object> fields) {
      super(fields);
    }

    /** Its name. */
    public String name() {
      return text("name");
    }

    /** Its next backups, the first first. */
    public List<Run> runs() {
      return documents("runs", Run::new);
    }
  }

  /** One backup ahead. */
  public static final class Run extends Document {
    private Run(Map<String, Object> fields) {
      super(fields);
    }

    /** The moment of the schedule. */
    public Instant dueAt() {
      return time("due_at");
    }

    /** When it begins: somewhat later, where the schedule has a random delay. */
    public Instant startsAt() {
      return time("starts_at");
    }
  }
}
