package org.openbravo.backup;

import java.time.Instant;
import java.util.Collections;
import java.util.Map;
import java.util.Objects;

/** Which backups to list; all of the instance by default. */
public final class ListOptions extends Request {
  private ListOptions(Map<String, Object> options) {
    super(options);
  }

  /** All backups of the instance. */
  public static ListOptions all() {
    return new ListOptions(Collections.emptyMap());
  }

  /** Only those finished at this time or later. */
  public ListOptions from(Instant from) {
    return new ListOptions(with("from", from.toString()));
  }

  /** Only those finished before this time. */
  public ListOptions until(Instant until) {
    return new ListOptions(with("until", until.toString()));
  }

  /** Only those of this type: {@code manual}, {@code scheduled} or {@code automated}. */
  public ListOptions type(String type) {
    return new ListOptions(with("type", Objects.requireNonNull(type)));
  }

  /** Also those of other instances. */
  public ListOptions allInstances() {
    return new ListOptions(with("all_instances", true));
  }
}
