package org.openbravo.erpCommon.modules;

import java.io.Serializable;

import org.openbravo.service.centralrepository.Module;

public class ImportModule implements Serializable {
  private static final long serialVersionUID = 1L;

  private final transient Module[] modules;

  public ImportModule(Module... modules) {
    this.modules = modules;
  }

  public Module[] getModulesToInstall() {
    return modules;
  }

  public Module[] getModulesToUpdate() {
    return new Module[0];
  }
}
