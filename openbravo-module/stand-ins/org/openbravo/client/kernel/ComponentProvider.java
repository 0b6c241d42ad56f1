package org.openbravo.client.kernel;

import java.util.List;
import java.util.Map;

public interface ComponentProvider {
  Component getComponent(String componentId, Map<String, Object> parameters);

  List<ComponentResource> getGlobalComponentResources();

  class ComponentResource {
  }

  @interface Qualifier {
    String value();
  }
}
