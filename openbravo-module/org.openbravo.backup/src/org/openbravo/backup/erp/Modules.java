package org.openbravo.backup.erp;

import org.openbravo.dal.core.OBContext;
import org.openbravo.dal.service.OBDal;
import org.openbravo.model.ad.module.Module;

/** The modules that are installed. */
final class Modules {
  private Modules() {
  }

  /** Package and version of the module with this id. */
  static String name(String id) {
    OBContext.setAdminMode(false);
    try {
      Module module = OBDal.getInstance().get(Module.class, id);
      return module == null ? id : module.getJavaPackage() + " " + module.getVersion();
    } finally {
      OBContext.restorePreviousMode();
    }
  }
}
