package org.openbravo.model.ad.access;

import org.openbravo.base.structure.BaseOBObject;

public class Role extends BaseOBObject {
  @Override
  public String getId() {
    return (String) super.getId();
  }
}
