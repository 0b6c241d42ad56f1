package org.openbravo.erpCommon.modules;

import java.io.Serializable;

import org.openbravo.service.centralrepository.Module;

public class ImportModule implements Serializable {
  private static final long serialVersionUID = 1L;

  public Module[] getModulesToInstall() {
    throw new UnsupportedOperationException();
  }

  public Module[] getModulesToUpdate() {
    throw new UnsupportedOperationException();
  }
}
