package org.openbravo.dal.core;

import org.openbravo.model.ad.access.Role;

public class OBContext {
  public static OBContext getOBContext() {
    throw new UnsupportedOperationException();
  }

  public static void setOBContext(OBContext context) {
    throw new UnsupportedOperationException();
  }

  public static void setOBContext(String userId, String roleId, String clientId, String orgId) {
    throw new UnsupportedOperationException();
  }

  public static void setAdminMode(boolean checksOrganizationAndClient) {
    throw new UnsupportedOperationException();
  }

  public static void restorePreviousMode() {
    throw new UnsupportedOperationException();
  }

  public Role getRole() {
    throw new UnsupportedOperationException();
  }
}
