package org.openbravo.client.kernel;

public abstract class BaseComponentProvider implements ComponentProvider {
  protected ComponentResource createStaticResource(String path, boolean includeAlsoInClassicMode) {
    return new ComponentResource();
  }

  protected ComponentResource createStyleSheetResource(String path,
      boolean includeAlsoInClassicMode) {
    return new ComponentResource();
  }
}
