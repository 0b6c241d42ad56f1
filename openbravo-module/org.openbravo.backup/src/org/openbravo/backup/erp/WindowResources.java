package org.openbravo.backup.erp;

import java.util.Arrays;
import java.util.List;
import java.util.Map;

import javax.enterprise.context.ApplicationScoped;

import org.openbravo.client.kernel.BaseComponentProvider;
import org.openbravo.client.kernel.Component;
import org.openbravo.client.kernel.ComponentProvider;

/** Brings the window's buttons, its dialogs and what stands above its grid to the browser. */
@ApplicationScoped
@ComponentProvider.Qualifier(WindowResources.COMPONENT_TYPE)
public class WindowResources extends BaseComponentProvider {
  static final String COMPONENT_TYPE = "OBBKP_WindowResources";
  private static final String WEB = "web/org.openbravo.backup/";

  @Override
  public Component getComponent(String componentId, Map<String, Object> parameters) {
    throw new IllegalArgumentException("There is no component " + componentId);
  }

  @Override
  public List<ComponentResource> getGlobalComponentResources() {
    // In this order: each uses what those before it define.
    return Arrays.asList(createStyleSheetResource(WEB + "css/backups.css", false),
        createStaticResource(WEB + "js/obbkp-strips.js", false),
        createStaticResource(WEB + "js/obbkp-dialogs.js", false),
        createStaticResource(WEB + "js/obbkp-backups.js", false));
  }
}
