package org.openbravo.erpCommon.modules;

import java.io.Serializable;

import org.openbravo.service.centralrepository.Module;

public class ImportModule implements Serializable {
  private static final long serialVersionUID = 1L;

  private final transient Module[] toInstall;
  private final transient Module[] toUpdate;

  public ImportModule(Module[] toInstall, Module[] toUpdate) {
    this.toInstall = toInstall;
    this.toUpdate = toUpdate;
  }

  public Module[] getModulesToInstall() {
    return toInstall;
  }

  public Module[] getModulesToUpdate() {
    return toUpdate;
  }
}
