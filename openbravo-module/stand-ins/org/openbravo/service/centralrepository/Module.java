package org.openbravo.service.centralrepository;

public class Module {
  public String getModuleID() {
    throw new UnsupportedOperationException();
  }

  public String getPackageName() {
    throw new UnsupportedOperationException();
  }

  public String getVersionNo() {
    throw new UnsupportedOperationException();
  }
}
