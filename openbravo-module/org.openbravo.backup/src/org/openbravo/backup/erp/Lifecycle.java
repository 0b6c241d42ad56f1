package org.openbravo.backup.erp;

import javax.servlet.ServletContextEvent;
import javax.servlet.ServletContextListener;

import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;

/**
 * Starts the native side, which runs the schedules, and ends it with the web application: nothing of it
 * may outlive the class loader.
 */
public class Lifecycle implements ServletContextListener {
  private static final Logger log = LogManager.getLogger();

  @Override
  public void contextInitialized(ServletContextEvent event) {
    try {
      Backups.get().start();
    } catch (LinkageError e) {
      // The library's jar is gone; that must not keep the ERP from starting.
      log.error("Backups do not work here: the module has to be installed anew", e);
    }
  }

  @Override
  public void contextDestroyed(ServletContextEvent event) {
    try {
      Backups.get().close();
    } catch (LinkageError e) {
      log.debug("There is nothing to close", e);
    }
  }
}
