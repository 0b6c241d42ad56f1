package org.openbravo.backup;

import java.util.Collections;
import java.util.Map;
import java.util.Objects;

/** When backups are taken by themselves, and which. */
public final class ScheduleOptions extends Request {
  private ScheduleOptions(Map<String, Object> options) {
    super(options);
  }

  /** A cron expression of five fields: minute, hour, day of the month, month, day of the week. */
  public static ScheduleOptions cron(String expression) {
    Objects.requireNonNull(expression);
    return new ScheduleOptions(Collections.singletonMap("cron", expression));
  }

  /**
   * The time zone that the expression is meant in, like Europe/Madrid; the machine's by default.
   */
  public ScheduleOptions timeZone(String zone) {
    return new ScheduleOptions(with("time_zone", Objects.requireNonNull(zone)));
  }

  /** The repository, by name or place; the default one by default. */
  public ScheduleOptions repository(String repository) {
    return new ScheduleOptions(with("repository", Objects.requireNonNull(repository)));
  }

  /** Only this part, and others that are added the same way; see {@link BackupOptions#only}. */
  public ScheduleOptions only(String part) {
    return new ScheduleOptions(withMore("only", part));
  }

  /** What the backups are labelled with. */
  public ScheduleOptions label(String label) {
    return new ScheduleOptions(with("label", label));
  }

  /** Keeps it in the configuration without running it. */
  public ScheduleOptions disabled() {
    return new ScheduleOptions(with("enabled", false));
  }
}
