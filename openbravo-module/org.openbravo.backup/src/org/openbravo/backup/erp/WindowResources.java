package org.openbravo.backup.erp;

import java.util.Collections;
import java.util.List;
import java.util.Map;

import javax.enterprise.context.ApplicationScoped;

import org.openbravo.client.kernel.BaseComponentProvider;
import org.openbravo.client.kernel.Component;
import org.openbravo.client.kernel.ComponentProvider;

/** Brings the window's buttons and its progress bar to the browser. */
@ApplicationScoped
@ComponentProvider.Qualifier(WindowResources.COMPONENT_TYPE)
public class WindowResources extends BaseComponentProvider {
  static final String COMPONENT_TYPE = "OBBKP_WindowResources";

  @Override
  public Component getComponent(String componentId, Map<String, Object> parameters) {
    throw new IllegalArgumentException("There is no component " + componentId);
  }

  @Override
  public List<ComponentResource> getGlobalComponentResources() {
    return Collections.singletonList(
        createStaticResource("web/org.openbravo.backup/js/obbkp-backups.js", false));
  }
}
