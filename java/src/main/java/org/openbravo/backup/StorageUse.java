package org.openbravo.backup;

import java.time.Instant;
import java.util.Map;

/** The room that a repository has and takes, in bytes. */
public final class StorageUse extends Document {
  StorageUse(Map<String, Object> fields) {
    super(fields);
  }

  /** Where the repository is. */
  public String location() {
    return text("location");
  }

  /** Bytes of everything in it. */
  public long repositoryBytes() {
    return number("repository_bytes");
  }

  /**
   * Bytes that are not needed, and that {@link Backup#prune} gives back when their grace is over.
   */
  public long condemnedBytes() {
    return number("condemned_bytes");
  }

  /** Number of backups. */
  public long backups() {
    return number("backups");
  }

  /** The device's size, or null where there is no device. */
  public Long totalBytes() {
    return numberOrNull("total_bytes");
  }

  /** What is used on it, or null. */
  public Long usedBytes() {
    return numberOrNull("used_bytes");
  }

  /** What this user can still write, or null. */
  public Long freeBytes() {
    return numberOrNull("free_bytes");
  }

  /**
   * How the room is by the configured marks: {@code ok}, {@code warning}, {@code critical}, or
   * null.
   */
  public String level() {
    return text("level");
  }

  /** How many more backups there is room for, or null where the last ones do not tell. */
  public Long roomForBackups() {
    Document forecast = inner("forecast");
    return forecast == null ? null : forecast.numberOrNull("room_for_backups");
  }

  /**
   * When the device is full if nothing is forgotten, or null where that is far off or not known.
   */
  public Instant fullAt() {
    Document forecast = inner("forecast");
    return forecast == null ? null : forecast.time("full_at");
  }
}
