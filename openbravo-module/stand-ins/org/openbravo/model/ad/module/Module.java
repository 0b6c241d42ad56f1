package org.openbravo.model.ad.module;

import org.openbravo.base.structure.BaseOBObject;

public class Module extends BaseOBObject {
  public String getJavaPackage() {
    return (String) get("javaPackage");
  }

  public String getVersion() {
    return (String) get("version");
  }
}
