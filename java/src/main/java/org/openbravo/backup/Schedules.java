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

    /** The repository's name, or its place. */
    public String repository() {
      return text("repository");
    }

    /** Only these parts of the instance; everything when empty. */
    public List<String> only() {
      return texts("only");
    }

    /** What its backups are labelled with, or null. */
    public String label() {
      return text("label");
    }

    /** Each run starts up to so many minutes later. */
    public int randomDelayMinutes() {
      return (int) number("random_delay_minutes");
    }

    /** How many minutes a run waits for other work on the repository before it is left out. */
    public int waitMinutes() {
      return (int) number("wait_minutes");
    }

    /** How often a run that failed is tried again. */
    public int retries() {
      return (int) number("retries");
    }

    /** After how many minutes for the first time; each next time after twice as many. */
    public int retryMinutes() {
      return (int) number("retry_minutes");
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
