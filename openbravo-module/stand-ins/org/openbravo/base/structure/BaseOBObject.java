package org.openbravo.base.structure;

import java.util.HashMap;
import java.util.Map;

public class BaseOBObject {
  private final Map<String, Object> values = new HashMap<>();

  public Object get(String property) {
    return values.get(property);
  }

  public void set(String property, Object value) {
    values.put(property, value);
  }

  public Object getId() {
    return get("id");
  }
}
