package org.openbravo.dal.service;

import org.openbravo.base.structure.BaseOBObject;

public class OBDal {
  public static OBDal getInstance() {
    throw new UnsupportedOperationException();
  }

  public <T extends BaseOBObject> OBCriteria<T> createCriteria(Class<T> type) {
    throw new UnsupportedOperationException();
  }

  public <T extends BaseOBObject> T get(Class<T> type, Object id) {
    throw new UnsupportedOperationException();
  }

  public <T extends BaseOBObject> T getProxy(Class<T> type, Object id) {
    throw new UnsupportedOperationException();
  }

  public void save(Object object) {
    throw new UnsupportedOperationException();
  }

  public void remove(Object object) {
    throw new UnsupportedOperationException();
  }

  public void flush() {
    throw new UnsupportedOperationException();
  }

  public void commitAndClose() {
    throw new UnsupportedOperationException();
  }

  public void rollbackAndClose() {
    throw new UnsupportedOperationException();
  }
}
