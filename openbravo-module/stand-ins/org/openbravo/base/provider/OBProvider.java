package org.openbravo.base.provider;

public class OBProvider {
  private static final OBProvider INSTANCE = new OBProvider();

  public static OBProvider getInstance() {
    return INSTANCE;
  }

  public <T> T get(Class<T> type) {
    try {
      return type.getDeclaredConstructor().newInstance();
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }
}
