package org.openbravo.base.session;

import java.util.Properties;

public class OBPropertiesProvider {
  public static OBPropertiesProvider getInstance() {
    throw new UnsupportedOperationException();
  }

  public Properties getOpenbravoProperties() {
    throw new UnsupportedOperationException();
  }
}
