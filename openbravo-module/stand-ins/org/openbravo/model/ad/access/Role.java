package org.openbravo.model.ad.access;

import org.openbravo.base.structure.BaseOBObject;

public class Role extends BaseOBObject {
  public String getId() {
    throw new UnsupportedOperationException();
  }
}
