package org.openbravo.backup.erp;

import javax.servlet.ServletContextEvent;
import javax.servlet.ServletContextListener;

/** Ends the native side with the web application: nothing of it may outlive the class loader. */
public class Lifecycle implements ServletContextListener {
  @Override
  public void contextInitialized(ServletContextEvent event) {
    // The native side is opened when somebody needs it.
  }

  @Override
  public void contextDestroyed(ServletContextEvent event) {
    Backups.get().close();
  }
}
