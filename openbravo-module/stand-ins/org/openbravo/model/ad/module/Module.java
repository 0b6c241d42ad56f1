package org.openbravo.model.ad.module;

import org.openbravo.base.structure.BaseOBObject;

public class Module extends BaseOBObject {
  public String getJavaPackage() {
    throw new UnsupportedOperationException();
  }

  public String getVersion() {
    throw new UnsupportedOperationException();
  }
}
