package org.openbravo.backup;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Loading where it works, and the words where it does not. */
class NativeLibraryTest {
  private static final String NATIVE = "native/linux-" + machine();

  @TempDir
  Path directory;

  private static String machine() {
    String arch = System.getProperty("os.arch");
    return arch.equals("amd64") ? "x86_64" : arch;
  }

  /**
   * The classes and resources of the jar, to be changed and loaded by a class loader of their own.
   */
  private Path jar() throws IOException {
    Path classes = Path.of("target/classes").toAbsolutePath();
    Path copy = directory.resolve("jar");
    List<Path> files;
    try (Stream<Path> all = Files.walk(classes)) {
      files = all.collect(Collectors.toList());
    }
    for (Path file : files) {
      Files.copy(file, copy.resolve(classes.relativize(file)));
    }
    return copy;
  }

  /** What comes of loading that jar from a directory. */
  private static String load(Path jar, Path base) throws Exception {
    try (URLClassLoader loader = new URLClassLoader(new URL[] {jar.toUri().toURL()}, null)) {
      var method = loader.loadClass("org.openbravo.backup.NativeLibrary")
          .getDeclaredMethod("load", Path.class);
      method.setAccessible(true);
      try {
        method.invoke(null, base);
        return "loaded";
      } catch (java.lang.reflect.InvocationTargetException e) {
        return e.getCause().toString();
      }
    }
  }

  @Test
  void eachClassLoaderGetsACopyAndNothingIsLeft() throws Exception {
    Path jar = jar();
    assertEquals("loaded", load(jar, directory));
    assertEquals("loaded", load(jar, directory));
    Path ours = directory.resolve("obbackup-" + System.getProperty("user.name"));
    assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(ours)));
    assertEquals(0, World.count(ours.toString()));
  }

  @Test
  void aFileThatWasCutShortIsNotLoaded() throws Exception {
    Path library = jar().resolve(NATIVE + "/libobbackup.so");
    byte[] bytes = Files.readAllBytes(library);
    for (int length : new int[] {0, 1000, bytes.length - 1}) {
      Files.write(library, java.util.Arrays.copyOf(bytes, length));
      String said = load(directory.resolve("jar"), directory);
      assertTrue(said.startsWith("LIBRARY: libobbackup.so in this jar is damaged"), said);
    }
  }

  @Test
  void versionsThatDifferAreRefusedEachTime() throws Exception {
    Path properties = jar().resolve("org/openbravo/backup/version.properties");
    Files.writeString(properties, "version=9.9.9\n");
    String said = load(directory.resolve("jar"), directory);
    assertTrue(said.contains("the native library has version 0.1.0, the jar 9.9.9"), said);
  }

  @Test
  void aPlatformWithoutALibraryIsNamed() {
    for (String[] platform : new String[][] {{"Windows 11", "amd64", "windows-11-x86_64"},
        {"Mac OS X", "aarch64", "mac-os-x-aarch64"}, {"Linux", "riscv64", "linux-riscv64"}}) {
      BackupException exception = World.fails(BackupException.Code.LIBRARY,
          () -> NativeLibrary.platform(platform[0], platform[1]));
      assertEquals("there is no native library for " + platform[2] + " in this jar",
          exception.getMessage());
    }
    assertEquals("linux-x86_64".length(), NATIVE.length() - "native/".length()
        + "x86_64".length() - machine().length());
  }

  /** Which second numbers of glibc 2 the symbols of a program ask for. */
  private static SortedSet<Integer> glibcVersions(String name) throws IOException {
    byte[] bytes = Files.readAllBytes(Path.of("target/classes", NATIVE, name));
    SortedSet<Integer> versions = new TreeSet<>();
    String text = new String(bytes, StandardCharsets.ISO_8859_1);
    Matcher matcher = Pattern.compile("\u0000GLIBC_2\\.([0-9]+)(\\.[0-9]+)?\u0000").matcher(text);
    for (int at = 0; matcher.find(at); at = matcher.end() - 1) {
      versions.add(Integer.valueOf(matcher.group(1)));
    }
    return versions;
  }

  /** Built where newer symbols are to be had, it would not start on the systems that are promised. */
  @Test
  void noNewerGlibcIsNeededThanTheManualSays() throws Exception {
    String manual = Files.readString(Path.of("../docs/java.md"));
    Matcher floor = Pattern.compile("needs glibc \\*\\*2\\.([0-9]+)\\*\\*").matcher(manual);
    assertTrue(floor.find());
    int promised = Integer.parseInt(floor.group(1));
    for (String name : new String[] {"libobbackup.so", "obbackup"}) {
      SortedSet<Integer> versions = glibcVersions(name);
      System.out.println(name + " asks for glibc 2." + versions.last());
      assertTrue(versions.last() <= promised, name + " asks for " + versions);
    }
  }

  /** The same library asking for a glibc that no system has. */
  @Test
  void aGlibcThatIsTooOldIsNamedWithTheVersionNeeded() throws Exception {
    byte[] bytes = Files.readAllBytes(Path.of("target/classes", NATIVE, "libobbackup.so"));
    String old = "GLIBC_2." + glibcVersions("libobbackup.so").last();
    Path changed = directory.resolve("changed.so");
    Files.write(changed, replaceVersion(bytes, old, old.replace("GLIBC_2", "GLIBC_9")));
    BackupException exception =
        World.fails(BackupException.Code.LIBRARY, () -> NativeLibrary.link(changed));
    assertEquals("the native library needs glibc " + old.replace("GLIBC_2", "9")
        + " or newer, and this system's is older", exception.getMessage());
  }

  private static byte[] replaceVersion(byte[] bytes, String from, String to) {
    byte[] changed = bytes.clone();
    replace(changed, (from + "\0").getBytes(StandardCharsets.US_ASCII),
        (to + "\0").getBytes(StandardCharsets.US_ASCII));
    replace(changed, hash(from), hash(to));
    return changed;
  }

  private static void replace(byte[] in, byte[] from, byte[] to) {
    for (int i = 0; i + from.length <= in.length; i++) {
      if (java.util.Arrays.equals(in, i, i + from.length, from, 0, from.length)) {
        System.arraycopy(to, 0, in, i, to.length);
      }
    }
  }

  /** A version's hash in an ELF file, little endian. */
  private static byte[] hash(String name) {
    int hash = 0;
    for (char c : name.toCharArray()) {
      hash = (hash << 4) + c;
      hash ^= (hash & 0xf0000000) >>> 24;
      hash &= 0x0fffffff;
    }
    return new byte[] {
        (byte) hash, (byte) (hash >> 8), (byte) (hash >> 16), (byte) (hash >> 24)};
  }

  @Test
  void aDirectoryThatForbidsToExecuteIsNamed() throws Exception {
    Path mount = Files.createDirectory(directory.resolve("noexec"));
    Process mounted = new ProcessBuilder("mount", "-t", "tmpfs", "-o", "noexec", "none",
        mount.toString()).redirectErrorStream(true).start();
    mounted.getInputStream().readAllBytes();
    assumeTrue(mounted.waitFor() == 0, "cannot mount a file system with noexec here");
    try {
      String said = load(jar(), mount);
      assertTrue(said.contains("does not allow to execute (noexec)"), said);
      assertTrue(said.contains(OpenOptions.DIRECTORY_PROPERTY), said);
    } finally {
      assertEquals(0, new ProcessBuilder("umount", "--lazy", mount.toString()).start().waitFor());
    }
  }

  @Test
  void theLinkersWordsAreExplained() {
    for (String[] pair : new String[][] {
        {"/x/lib.so: failed to map segment from shared object", "(noexec)"},
        {"/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /x/lib.so)",
            "needs glibc 2.38 or newer"},
        {"Error loading shared library ld-linux-x86-64.so.2: No such file", "has no glibc"},
        {"/x/lib.so: cannot open shared object file: Permission denied", "forbids to load"},
        {"/x/lib.so: file too short", "cannot be loaded"}}) {
      BackupException exception = NativeLibrary.explain(pair[0], directory, null);
      assertEquals(BackupException.Code.LIBRARY, exception.code());
      assertTrue(exception.getMessage().contains(pair[1]), exception.toString());
    }
  }

  @Test
  void aDirectoryOfSomebodyElseIsNotUsed() throws Exception {
    Path planted = directory.resolve("obbackup-" + System.getProperty("user.name"));
    Path elsewhere = Files.createDirectory(directory.resolve("elsewhere"));
    Files.createSymbolicLink(planted, elsewhere);
    World.fails(BackupException.Code.LIBRARY, () -> NativeLibrary.privateDirectory(directory));
    Files.delete(planted);
    Files.createFile(planted);
    World.fails(BackupException.Code.LIBRARY, () -> NativeLibrary.privateDirectory(directory));
    Files.delete(planted);
    Files.createDirectory(planted,
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwxrwxr-x")));
    NativeLibrary.privateDirectory(directory);
    assertEquals("rwx------",
        PosixFilePermissions.toString(Files.getPosixFilePermissions(planted)));
    assertEquals(List.of("elsewhere", planted.getFileName().toString()), names(directory));
  }

  @Test
  void whatOthersLeftIsSwept() throws Exception {
    Instant now = Instant.now();
    for (String name : new String[] {"lib-old.so", "lib-new.so", "obbackup-old", "obbackup-new"}) {
      Files.createFile(directory.resolve(name));
    }
    age("lib-old.so", now.minusSeconds(700));
    age("obbackup-new", now.minusSeconds(100_000));
    age("obbackup-old", now.minusSeconds(200_000));
    NativeLibrary.sweep(directory, now);
    assertEquals(List.of("lib-new.so", "obbackup-new"), names(directory));
  }

  private void age(String name, Instant time) throws IOException {
    Files.setLastModifiedTime(directory.resolve(name), FileTime.from(time));
  }

  private static List<String> names(Path directory) throws IOException {
    List<String> names = new ArrayList<>();
    try (Stream<Path> files = Files.list(directory)) {
      files.forEach(file -> names.add(file.getFileName().toString()));
    }
    names.sort(null);
    return names;
  }

  @Test
  void theCommandIsTakenOutOfTheJarOnce() throws Exception {
    Path program = NativeLibrary.program(directory);
    assertTrue(Files.isExecutable(program));
    FileTime written = Files.getLastModifiedTime(program);
    assertEquals(program, NativeLibrary.program(directory));
    assertEquals(written, Files.getLastModifiedTime(program));
    Files.write(program, new byte[100]);
    assertEquals(program, NativeLibrary.program(directory));
    try (InputStream original =
        NativeLibrary.class.getResourceAsStream("/" + NATIVE + "/obbackup")) {
      assertArrayEquals(original.readAllBytes(), Files.readAllBytes(program));
    }
    Process version = new ProcessBuilder(program.toString(), "--version").start();
    String said = new String(version.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(said.startsWith("obbackup 0.1.0 ("), said);
    assertFalse(said.contains("unknown"), said);
  }
}
