package org.openbravo.backup.erp;

import javax.servlet.ServletContextEvent;
import javax.servlet.ServletContextListener;

/**
 * Starts the native side, which runs the schedules, and ends it with the web application: nothing of it
 * may outlive the class loader.
 */
public class Lifecycle implements ServletContextListener {
  @Override
  public void contextInitialized(ServletContextEvent event) {
    Backups.get().start();
  }

  @Override
  public void contextDestroyed(ServletContextEvent event) {
    Backups.get().close();
  }
}
