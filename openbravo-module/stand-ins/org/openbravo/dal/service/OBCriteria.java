package org.openbravo.dal.service;

import java.util.List;

import org.openbravo.base.structure.BaseOBObject;

public class OBCriteria<E extends BaseOBObject> {
  public List<E> list() {
    throw new UnsupportedOperationException();
  }
}
