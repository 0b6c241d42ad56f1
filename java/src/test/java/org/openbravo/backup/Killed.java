package org.openbravo.backup;

import java.nio.file.Path;

/**
 * A JVM of its own for {@link KillTest}: says when its backup has begun, or which restore it has
 * begun, and goes on until it is killed.
 */
final class Killed {
  private Killed() {}

  public static void main(String[] arguments) throws InterruptedException {
    OpenOptions options =
        OpenOptions.of(Path.of(arguments[0])).configuration(Path.of(arguments[1]));
    if (arguments[2].equals("restore")) {
      System.out.println(Backup.open(options).restore(RestoreOptions.of(arguments[3])).job());
    } else {
      Backup backup = Backup.open(options.bytesPerSecond(500_000));
      Thread working = new Thread(() -> backup.backup(BackupOptions.all().fullRead()));
      working.setDaemon(true);
      working.start();
      while (backup.progress().doneBytes() == 0) {
        Thread.sleep(5);
      }
      System.out.println("begun");
    }
    Thread.sleep(Long.MAX_VALUE);
  }
}
