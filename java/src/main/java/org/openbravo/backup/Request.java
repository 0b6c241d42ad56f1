package org.openbravo.backup;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * What is asked of the native library: an immutable set of options, with defaults for all others.
 */
abstract class Request {
  private final Map<String, Object> options;

  Request(Map<String, Object> options) {
    this.options = Collections.unmodifiableMap(options);
  }

  final Map<String, Object> with(String name, Object value) {
    Map<String, Object> changed = new LinkedHashMap<>(options);
    changed.put(name, value);
    return changed;
  }

  final Map<String, Object> withMore(String name, String item) {
    List<Object> items = new ArrayList<>();
    Object before = options.get(name);
    if (before instanceof List) {
      items.addAll((List<?>) before);
    }
    items.add(Objects.requireNonNull(item));
    return with(name, items);
  }

  final Object option(String name) {
    return options.get(name);
  }

  final Map<String, Object> options() {
    return options;
  }

  String json() {
    return Json.write(options);
  }

  final String json(boolean dryRun) {
    return Json.write(with("dry_run", dryRun));
  }
}
