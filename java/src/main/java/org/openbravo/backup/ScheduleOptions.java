package org.openbravo.backup;

import java.util.Collections;
import java.util.Map;
import java.util.Objects;

/**
 * When backups are taken by themselves, and which. Of a schedule that is there, what is not named
 * stays as it is; of a new one it has its default.
 */
public final class ScheduleOptions extends Request {
  private ScheduleOptions(Map<String, Object> options) {
    super(options);
  }

  /** A cron expression of five fields: minute, hour, day of the month, month, day of the week. */
  public static ScheduleOptions cron(String expression) {
    Objects.requireNonNull(expression);
    return new ScheduleOptions(Collections.singletonMap("cron", expression));
  }

  /** For a schedule that is there, and goes on running when it did. */
  public static ScheduleOptions change() {
    return new ScheduleOptions(Collections.emptyMap());
  }

  /**
   * The time zone that the expression is meant in, like Europe/Madrid; the machine's by default,
   * and again with null.
   */
  public ScheduleOptions timeZone(String zone) {
    return new ScheduleOptions(with("time_zone", zone));
  }

  /** The repository, by name or place; the default one by default, and again with null. */
  public ScheduleOptions repository(String repository) {
    return new ScheduleOptions(with("repository", repository));
  }

  /** Only this part, and others that are added the same way; see {@link BackupOptions#only}. */
  public ScheduleOptions only(String part) {
    return new ScheduleOptions(withMore("only", part));
  }

  /** Every part of the instance, which is the default. */
  public ScheduleOptions everything() {
    return new ScheduleOptions(with("only", null));
  }

  /** What the backups are labelled with; nothing by default, and again with null. */
  public ScheduleOptions label(String label) {
    return new ScheduleOptions(with("label", label));
  }

  /**
   * Each run starts up to so many minutes later, so that not all instances start at once; 0 by
   * default, at most 65535 like all of these.
   */
  public ScheduleOptions randomDelayMinutes(int minutes) {
    return new ScheduleOptions(with("random_delay_minutes", minutes));
  }

  /**
   * How many minutes a run waits for other work on the repository before it is left out; 360 by
   * default.
   */
  public ScheduleOptions waitMinutes(int minutes) {
    return new ScheduleOptions(with("wait_minutes", minutes));
  }

  /** How often a run that failed is tried again; 3 times by default, never with 0. */
  public ScheduleOptions retries(int times) {
    return new ScheduleOptions(with("retries", times));
  }

  /**
   * After how many minutes it is tried again for the first time, at least 1; each next time after
   * twice as many. 10 by default.
   */
  public ScheduleOptions retryMinutes(int minutes) {
    return new ScheduleOptions(with("retry_minutes", minutes));
  }

  /** Lets it run, which is the default. */
  public ScheduleOptions enabled() {
    return new ScheduleOptions(with("enabled", null));
  }

  /** Keeps it in the configuration without running it. */
  public ScheduleOptions disabled() {
    return new ScheduleOptions(with("enabled", false));
  }
}
