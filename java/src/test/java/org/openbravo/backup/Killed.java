package org.openbravo.backup;

import java.nio.file.Path;

/** A JVM of its own for {@link KillTest}: says when its backup has begun, and goes on until it is killed. */
final class Killed {
  private Killed() {}

  public static void main(String[] arguments) throws InterruptedException {
    Backup backup = Backup.open(
        OpenOptions.of(Path.of(arguments[0])).configuration(Path.of(arguments[1])).bytesPerSecond(500_000));
    Thread working = new Thread(() -> backup.backup(BackupOptions.all().fullRead()));
    working.setDaemon(true);
    working.start();
    while (backup.progress().doneBytes() == 0) {
      Thread.sleep(5);
    }
    System.out.println("begun");
    working.join();
  }
}
