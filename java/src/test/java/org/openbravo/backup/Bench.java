package org.openbravo.backup;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A program that takes backups for tests/bench_jni.py: for each directory that it reads it answers with
 * a line of JSON, how long a first backup into a new repository there took and what memory it needed.
 */
final class Bench {
  private static final long INTERVAL_MILLISECONDS = 50;

  private Bench() {}

  public static void main(String[] arguments) throws Exception {
    Path instance = Path.of(arguments[0]);
    BufferedReader asked =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = asked.readLine(); line != null; line = asked.readLine()) {
      System.out.println(Json.write(measure(instance, Path.of(line))));
    }
    Backup.shutdown();
  }

  private static Map<String, Object> measure(Path instance, Path place) throws Exception {
    OpenOptions options = OpenOptions.of(instance)
        .configuration(place.resolve("obbackup.toml")).libraryDirectory(place);
    try (Backup backup = Backup.open(options)) {
      backup.init(place.resolve("repository").toString());
      System.gc();
      Peak peak = new Peak();
      Thread watching = new Thread(peak);
      long before = anonymousBytes();
      watching.start();
      long begun = System.nanoTime();
      BackupSummary taken = backup.backup(BackupOptions.all());
      double seconds = (System.nanoTime() - begun) / 1e9;
      peak.isOver = true;
      watching.join();
      Map<String, Object> result = new LinkedHashMap<>();
      result.put("seconds", seconds);
      result.put("good", taken.isGood());
      result.put("data_bytes", taken.databaseBytes() + taken.filesBytes());
      result.put("heap_limit_bytes", Runtime.getRuntime().maxMemory());
      result.put("heap_bytes", peak.heapBytes);
      result.put("native_bytes", peak.anonymousBytes - before);
      result.put("process_bytes", peak.residentBytes);
      return result;
    }
  }

  /** The most that was in use, looked at again and again. */
  private static final class Peak implements Runnable {
    private long heapBytes;
    private long anonymousBytes;
    private long residentBytes;
    // An interruption would come in the middle of reading a file, too.
    private volatile boolean isOver;

    @Override
    public void run() {
      try {
        while (!isOver) {
          long heap = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
          heapBytes = Math.max(heapBytes, heap);
          anonymousBytes = Math.max(anonymousBytes, anonymousBytes());
          residentBytes = Math.max(residentBytes, bytesOf("VmHWM"));
          Thread.sleep(INTERVAL_MILLISECONDS);
        }
      } catch (InterruptedException | IOException e) {
        throw new IllegalStateException(e);
      }
    }
  }

  /** Memory that is no file's: the heap, which has its full size from the beginning, and all other. */
  private static long anonymousBytes() throws IOException {
    return bytesOf("RssAnon");
  }

  private static long bytesOf(String name) throws IOException {
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
      String line = lines.filter(it -> it.startsWith(name + ":")).findFirst().orElseThrow();
      return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
    }
  }
}
