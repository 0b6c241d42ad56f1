package org.openbravo.backup;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/** How far the running operation of a {@link Backup} is. */
public final class Progress extends Document {
  Progress(Map<String, Object> fields) {
    super(fields);
  }

  /** Whether an operation is running; without one the rest is null or 0. */
  public boolean isRunning() {
    return operation() != null;
  }

  /** What is being done, like {@code backup} or {@code restore plan}; null where nothing is. */
  public String operation() {
    return text("operation");
  }

  /** When it was begun. */
  public Instant startedAt() {
    return time("started_at");
  }

  /** Its present stage, for people. */
  public String stage() {
    return text("stage");
  }

  /** Bytes of the stage that are done. */
  public long doneBytes() {
    return number("done_bytes");
  }

  /** All bytes of the stage, or null where they are not known. */
  public Long totalBytes() {
    return numberOrNull("total_bytes");
  }

  /** Bytes in a second, over the stage so far. */
  public long bytesPerSecond() {
    return number("bytes_per_second");
  }

  /** Seconds until the stage is done, or null where that is not known. */
  public Long secondsLeft() {
    return numberOrNull("seconds_left");
  }

  /** Whether it was asked to stop. */
  public boolean isCancelling() {
    return flag("cancelling");
  }

  /** The first hundred of its warnings. */
  public List<String> warnings() {
    return texts("warnings");
  }
}
