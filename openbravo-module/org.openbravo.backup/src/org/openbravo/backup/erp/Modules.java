package org.openbravo.backup.erp;

import java.util.Collection;
import java.util.Set;
import java.util.TreeSet;

import org.openbravo.dal.core.OBContext;
import org.openbravo.dal.service.OBDal;
import org.openbravo.model.ad.module.Module;

/** The modules that are installed. */
final class Modules {
  private Modules() {
  }

  /** Packages and versions of the modules with these ids. */
  static Set<String> names(Collection<String> ids) {
    Set<String> names = new TreeSet<>();
    OBContext.setAdminMode(false);
    try {
      for (String id : ids) {
        Module module = OBDal.getInstance().get(Module.class, id);
        names.add(module == null ? id : module.getJavaPackage() + " " + module.getVersion());
      }
    } finally {
      OBContext.restorePreviousMode();
    }
    return names;
  }
}
