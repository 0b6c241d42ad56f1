package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.function.Executable;

/** The made-up instance that java/test.sh makes beside a private PostgreSQL server. */
final class World {
  private World() {}

  /** {@code source.path}; the test is skipped where there is none. */
  static Path instance() {
    String directory = System.getenv("OBBACKUP_WORLD");
    assumeTrue(directory != null, "run java/test.sh, which makes an instance");
    return Path.of(directory, "openbravo");
  }

  /** Options for the instance with a configuration of its own in an empty directory. */
  static OpenOptions options(Path directory) {
    return OpenOptions.of(instance()).configuration(directory.resolve("obbackup.toml"));
  }

  /** An opened instance with a new repository, both in an empty directory. */
  static Backup open(Path directory) {
    Backup backup = Backup.open(options(directory));
    backup.init(directory.resolve("repository").toString());
    return backup;
  }

  /** The exception of a call that must fail with this code. */
  static BackupException fails(BackupException.Code code, Executable call) {
    BackupException exception = assertThrows(BackupException.class, call);
    assertEquals(code, exception.code(), exception.toString());
    return exception;
  }

  /** Threads of this process that belong to the library. */
  static long nativeThreads() throws IOException {
    try (Stream<Path> tasks = Files.list(Path.of("/proc/self/task"))) {
      return tasks.filter(task -> {
        try {
          return Files.readString(task.resolve("comm")).startsWith("obbackup");
        } catch (IOException e) {
          return false;
        }
      }).count();
    }
  }

  static long count(String directory) throws IOException {
    try (Stream<Path> entries = Files.list(Path.of(directory))) {
      return entries.count();
    }
  }

  /** A line of /proc/self/status in KiB. */
  static long memory(String name) throws IOException {
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
      String line = lines.filter(it -> it.startsWith(name + ":")).findFirst().orElseThrow();
      return Long.parseLong(line.replaceAll("[^0-9]", ""));
    }
  }
}
