package org.openbravo.dal.service;

import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

import org.openbravo.base.provider.OBProvider;
import org.openbravo.base.structure.BaseOBObject;

/** Objects in memory, without transactions. */
public class OBDal {
  private static final OBDal INSTANCE = new OBDal();

  private final Map<Object, BaseOBObject> objects = new ConcurrentHashMap<>();

  public static OBDal getInstance() {
    return INSTANCE;
  }

  public <T extends BaseOBObject> OBCriteria<T> createCriteria(Class<T> type) {
    return new OBCriteria<>() {
      @Override
      public List<T> list() {
        return objects.values().stream().filter(type::isInstance).map(type::cast)
            .collect(Collectors.toList());
      }
    };
  }

  public <T extends BaseOBObject> T get(Class<T> type, Object id) {
    return type.cast(objects.get(id));
  }

  public <T extends BaseOBObject> T getProxy(Class<T> type, Object id) {
    T proxy = OBProvider.getInstance().get(type);
    proxy.set("id", id);
    return proxy;
  }

  public void save(Object object) {
    BaseOBObject saved = (BaseOBObject) object;
    if (saved.getId() == null) {
      saved.set("id", UUID.randomUUID().toString());
    }
    objects.put(saved.getId(), saved);
  }

  public void remove(Object object) {
    objects.remove(((BaseOBObject) object).getId());
  }

  public void flush() {
    // What was saved is there.
  }

  public void commitAndClose() {
    // See above.
  }

  public void rollbackAndClose() {
    // See above.
  }
}
