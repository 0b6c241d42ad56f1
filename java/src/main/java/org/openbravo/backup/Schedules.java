package org.openbravo.backup;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/** The schedules of an instance, and who runs them. */
public final class Schedules extends Document {
  Schedules(Map<String, Object> fields) {
    super(fields);
  }

  /** Whether a process of this machine runs them now: this one or another. */
  public boolean isRunning() {
    return flag("running");
  }

  /** Whether {@link Backup#runSchedules} is at work here, or waits for another process that is. */
  public boolean isStartedHere() {
    return flag("started_here");
  }

  /** How far the backup is that runs here by schedule. */
  public Progress progress() {
    return document("progress", Progress::new);
  }

  /** Why {@link Backup#runSchedules} ended by itself, or null. */
  public String failure() {
    return text("failure");
  }

  /** The schedules by name. */
  public List<Schedule> schedules() {
    return documents("schedules", Schedule::new);
  }

  /** One schedule. */
  public static final class Schedule extends Document {
    private Schedule(Map<String, Object> fields) {
      super(fields);
    }

    /** Its name. */
    public String name() {
      return text("name");
    }

    /** When it is due, as a cron expression of five fields. */
    public String cron() {
      return text("cron");
    }

    /** The time zone that the expression is meant in. */
    public String timeZone() {
      return text("time_zone");
    }

    /** Whether it runs. */
    public boolean isEnabled() {
      return flag("enabled");
    }

    /** When its next backup begins, or null. */
    public Instant next() {
      Document next = inner("next");
      return next == null ? null : next.time("starts_at");
    }
  }
}
