package org.openbravo.backup;

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
}
