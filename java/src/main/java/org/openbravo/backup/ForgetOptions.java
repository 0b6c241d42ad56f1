package org.openbravo.backup;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Which backups to forget: those that the rules of {@code [retention]} do not keep, unless others
 * are given here.
 */
public final class ForgetOptions extends Request {
  private ForgetOptions(Map<String, Object> options) {
    super(options);
  }

  /** By the rules of the configuration. */
  public static ForgetOptions configured() {
    return new ForgetOptions(Collections.emptyMap());
  }

  /**
   * Keep the last so many. This and the other {@code keep} stand in place of the configured rules.
   */
  public ForgetOptions keepLast(int count) {
    return keep("keep_last", count);
  }

  /** Keep the last one of each of the last so many hours that have one. */
  public ForgetOptions keepHourly(int count) {
    return keep("keep_hourly", count);
  }

  /** The same of days. */
  public ForgetOptions keepDaily(int count) {
    return keep("keep_daily", count);
  }

  /** The same of weeks. */
  public ForgetOptions keepWeekly(int count) {
    return keep("keep_weekly", count);
  }

  /** The same of months. */
  public ForgetOptions keepMonthly(int count) {
    return keep("keep_monthly", count);
  }

  /** The same of years. */
  public ForgetOptions keepYearly(int count) {
    return keep("keep_yearly", count);
  }

  /** Keep all that are at most so many days older than the last one. */
  public ForgetOptions keepWithinDays(int days) {
    return keep("keep_within_days", days);
  }

  /** Let the oldest go until the instance's backups take no more than so many GiB. */
  public ForgetOptions maxSpaceGib(int gib) {
    return new ForgetOptions(with("max_space_gib", gib));
  }

  /** Judge only backups of this type, and of others that are added the same way. */
  public ForgetOptions type(String type) {
    return new ForgetOptions(withMore("types", type));
  }

  /** Judge only backups of this schedule. */
  public ForgetOptions schedule(String name) {
    return new ForgetOptions(with("schedule", Objects.requireNonNull(name)));
  }

  /** Give back the room afterwards, as {@link Backup#prune} does. */
  public ForgetOptions prune() {
    return new ForgetOptions(with("prune", true));
  }

  private ForgetOptions keep(String rule, int count) {
    Map<String, Object> rules = new LinkedHashMap<>();
    Object before = option("rules");
    if (before instanceof Map) {
      ((Map<?, ?>) before).forEach((key, value) -> rules.put((String) key, value));
    }
    rules.put(rule, count);
    return new ForgetOptions(with("rules", Collections.unmodifiableMap(rules)));
  }
}
