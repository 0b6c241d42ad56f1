package org.openbravo.backup.erp;

import java.nio.file.Paths;
import java.util.function.Function;

import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.openbravo.backup.Backup;
import org.openbravo.backup.BackupException;
import org.openbravo.backup.OpenOptions;
import org.openbravo.backup.Progress;
import org.openbravo.base.session.OBPropertiesProvider;

/**
 * The backups of this web application's instance. Long work is done one at a time on a thread of its
 * own, so that it goes on when the browser is closed; what it came to is kept until the next.
 */
final class Backups {
  private static final Logger log = LogManager.getLogger();
  private static final Backups INSTANCE = new Backups();

  private Backup backup;
  private Thread worker;
  private Outcome outcome;
  private int finished;
  private boolean closed;

  private Backups() {
  }

  static Backups get() {
    return INSTANCE;
  }

  /**
   * The native side, opened when it is first needed: a library that cannot be loaded must not keep the
   * ERP from starting.
   */
  synchronized Backup open() {
    if (closed) {
      throw new IllegalStateException("The web application is being stopped");
    }
    if (backup == null) {
      backup = Backup.open(OpenOptions.of(Paths.get(property("source.path"))));
    }
    return backup;
  }

  private static String property(String name) {
    return OBPropertiesProvider.getInstance().getOpenbravoProperties().getProperty(name, "");
  }

  /** What has to be typed before the instance is replaced. */
  String instanceName() {
    Object configured = open().settings().value("instance.name");
    return configured == null ? property("context.name").trim() : configured.toString();
  }

  /**
   * Opens the native side and runs the schedules, unless this node of a cluster runs nothing in the
   * background. What cannot be opened is told of in the log and in the window.
   */
  void start() {
    if (property("background.policy").trim().equals("no-execute")) {
      return;
    }
    Thread starter = new Thread(() -> {
      try {
        open().runSchedules();
      } catch (BackupException | IllegalStateException e) {
        log.warn("Backups do not work here: {}", e.toString());
      }
    }, "OBBKP start");
    starter.setDaemon(true);
    starter.start();
  }

  /**
   * Begins long work, unless some is running.
   *
   * @return whether it was begun
   */
  synchronized boolean begin(String name, Function<Backup, Outcome> work) {
    if (isRunning()) {
      return false;
    }
    Backup opened = open();
    worker = new Thread(() -> run(opened, work), "OBBKP " + name);
    worker.setDaemon(true);
    worker.start();
    return true;
  }

  private void run(Backup opened, Function<Backup, Outcome> work) {
    Outcome ended;
    try {
      ended = work.apply(opened);
    } catch (BackupException e) {
      log.warn("{}: {}", Thread.currentThread().getName(), e);
      ended = Outcome.of(e);
    } catch (RuntimeException e) {
      log.error(Thread.currentThread().getName(), e);
      ended = Outcome.error(String.valueOf(e.getMessage()), "");
    }
    synchronized (this) {
      outcome = ended;
      finished++;
    }
  }

  synchronized boolean isRunning() {
    return worker != null && worker.isAlive();
  }

  /** How far the running work is. */
  Progress progress() {
    return open().progress();
  }

  void cancel() {
    open().cancel();
  }

  /** What the last work came to, or null. */
  synchronized Outcome outcome() {
    return outcome;
  }

  /** How many pieces of work have ended. */
  synchronized int finished() {
    return finished;
  }

  /** Stops what is running and gives everything back; nothing can be begun afterwards. */
  void close() {
    Thread running;
    synchronized (this) {
      closed = true;
      running = worker;
      if (backup == null) {
        return;
      }
    }
    try {
      Backup.shutdown();
      if (running != null) {
        running.join(5_000);
      }
    } catch (BackupException e) {
      log.warn("The backup library does not stop: {}", e.toString());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
