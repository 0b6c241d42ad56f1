package org.openbravo.dal.core;

import org.openbravo.model.ad.access.Role;

public class OBContext {
  private static final ThreadLocal<OBContext> CURRENT = new ThreadLocal<>();

  private final Role role = new Role();

  public static OBContext getOBContext() {
    return CURRENT.get();
  }

  public static void setOBContext(OBContext context) {
    CURRENT.set(context);
  }

  public static void setOBContext(String userId, String roleId, String clientId, String orgId) {
    OBContext context = new OBContext();
    context.role.set("id", roleId);
    CURRENT.set(context);
  }

  public static void setAdminMode(boolean checksOrganizationAndClient) {
    // Nothing is checked here.
  }

  public static void restorePreviousMode() {
    // See above.
  }

  public Role getRole() {
    return role;
  }
}
