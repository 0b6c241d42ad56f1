package org.openbravo.backup;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.stream.Collectors;

/**
 * A program that looks at the jar as `make java` builds it, and works with it as an application would:
 * without Maven, without JUnit, on whatever JVM runs it.
 */
final class JarCheck {
  /** What Java 11 reads. */
  private static final int CLASS_FILE_VERSION = 55;
  private static final String PACKAGE = "org/openbravo/backup/";

  private JarCheck() {}

  public static void main(String[] arguments) throws Exception {
    Path instance = Path.of(arguments[1]);
    Path place = Path.of(arguments[2]);
    try (JarFile jar = new JarFile(arguments[0])) {
      content(jar);
    }
    use(instance, place);
    System.out.println("the jar holds what it should, and works on Java "
        + System.getProperty("java.version"));
  }

  private static void content(JarFile jar) throws Exception {
    String arch = System.getProperty("os.arch");
    String platform = "native/linux-" + (arch.equals("amd64") ? "x86_64" : arch) + "/";
    Set<String> natives = new HashSet<>();
    int classes = 0;
    for (JarEntry entry : jar.stream().collect(Collectors.toList())) {
      String name = entry.getName();
      if (entry.isDirectory() || name.startsWith("META-INF/")) {
        continue;
      }
      if (name.startsWith("native/")) {
        natives.add(name);
      } else if (name.endsWith(".class")) {
        classes++;
        expect(name.startsWith(PACKAGE), "a class of somebody else: " + name);
        try (DataInputStream in = new DataInputStream(jar.getInputStream(entry))) {
          in.readInt();
          in.readUnsignedShort();
          int version = in.readUnsignedShort();
          expect(version == CLASS_FILE_VERSION, name + " has class file version " + version);
        }
      } else {
        expect(name.startsWith(PACKAGE), "a stray file: " + name);
      }
    }
    expect(classes > 30, "only " + classes + " classes");
    expect(natives.equals(Set.of(platform + "libobbackup.so", platform + "obbackup",
        platform + "SHA256SUMS")), "the native files are " + natives);
    String sums = new String(bytes(jar, platform + "SHA256SUMS"), StandardCharsets.US_ASCII);
    for (String name : List.of("libobbackup.so", "obbackup")) {
      byte[] file = bytes(jar, platform + name);
      expect(file.length > 1_000_000 && file[1] == 'E' && file[2] == 'L' && file[3] == 'F',
          name + " is no program");
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(file);
      String line = String.format("%064x  %s", new BigInteger(1, digest), name);
      expect(sums.lines().anyMatch(line::equals), "no line `" + line + "` in " + sums);
    }
  }

  private static byte[] bytes(JarFile jar, String name) throws IOException {
    try (InputStream in = jar.getInputStream(jar.getEntry(name))) {
      return in.readAllBytes();
    }
  }

  private static void use(Path instance, Path place) throws Exception {
    OpenOptions options = OpenOptions.of(instance)
        .configuration(place.resolve("obbackup.toml")).libraryDirectory(place);
    try (Backup backup = Backup.open(options)) {
      String inJar = Backup.class.getProtectionDomain().getCodeSource().getLocation().getPath();
      expect(inJar.endsWith(".jar"), "the classes are not those of the jar: " + inJar);
      backup.init(place.resolve("repository").toString());
      BackupSummary taken = backup.backup(BackupOptions.all());
      expect(taken.isGood(), taken.json());
      expect(backup.list(ListOptions.all()).backups().equals(List.of(taken)), "another list");
      expect(backup.verify(null, true).isSound(), "not sound");
      // By the command out of the jar.
      RestorePlan plan = backup.planRestore(RestoreOptions.of("latest").toDatabase("jar_check"));
      expect(plan.backup().id().equals(taken.id()), plan.json());
      try {
        backup.show("0123456789");
        throw new IllegalStateException("a backup that is not there was shown");
      } catch (BackupException e) {
        expect(e.code() == BackupException.Code.NOT_FOUND, e.toString());
      }
    }
    Backup.shutdown();
  }

  private static void expect(boolean condition, String otherwise) {
    if (!condition) {
      throw new IllegalStateException(otherwise);
    }
  }
}
