package org.openbravo.dal.service;

import java.util.List;

import org.openbravo.base.structure.BaseOBObject;

public abstract class OBCriteria<E extends BaseOBObject> {
  public abstract List<E> list();
}
