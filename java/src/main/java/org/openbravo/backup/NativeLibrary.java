package org.openbravo.backup;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumSet;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;

/**
 * Loads the native library out of the jar.
 *
 * <p>Each class loader gets a copy of its own: a JVM refuses to load one file in two of them, as a
 * reloaded web application would. The copy is written to a directory that is ours alone, and
 * deleted as soon as it is loaded; the system keeps what is mapped.
 */
final class NativeLibrary {
  private static final String LIBRARY = "libobbackup.so";
  private static final String PROGRAM = "obbackup";
  private static final String SUMS = "SHA256SUMS";
  /** What is older than this was left by a JVM that died while it loaded. */
  private static final Duration LEFTOVER = Duration.ofMinutes(10);
  /** A program of another version may still be running a restore. */
  private static final Duration OLD_PROGRAM = Duration.ofDays(2);

  private static boolean loaded;

  private NativeLibrary() {}

  static synchronized boolean isLoaded() {
    return loaded;
  }

  /**
   * Loads the library, once.
   *
   * @param base where the private directory is made
   * @throws BackupException {@code LIBRARY}, with the reason and what to do
   */
  static synchronized void load(Path base) {
    if (!loaded) {
      String platform = platform(System.getProperty("os.name"), System.getProperty("os.arch"));
      Path directory = privateDirectory(base);
      sweep(directory, Instant.now());
      Path copy = directory.resolve("lib-" + UUID.randomUUID() + ".so");
      try {
        extract(platform, LIBRARY, copy);
        link(copy);
        loaded = true;
      } finally {
        delete(copy);
      }
    }
    compare(libraryVersion(), jarVersion());
  }

  private static String libraryVersion() {
    try {
      return new LibraryVersion(Document.fields(BackupNative.version())).version();
    } catch (UnsatisfiedLinkError e) {
      throw cannot(LIBRARY + " in this jar is another library: " + e.getMessage(),
          "Install the jar anew: it was put together wrongly.", e);
    }
  }

  /** The command out of the jar, in the private directory; written once for each version. */
  static synchronized Path program(Path base) {
    String platform = platform(System.getProperty("os.name"), System.getProperty("os.arch"));
    Path directory = privateDirectory(base);
    String sum = expectedSum(platform, PROGRAM);
    Path program = directory.resolve("obbackup-" + sum.substring(0, 16));
    try {
      if (Files.isRegularFile(program, LinkOption.NOFOLLOW_LINKS) && sum.equals(sumOf(program))) {
        return program;
      }
      Path copy = directory.resolve("lib-" + UUID.randomUUID());
      try {
        extract(platform, PROGRAM, copy);
        // In one step: another process may be about to start it.
        Files.move(copy, program, StandardCopyOption.ATOMIC_MOVE);
      } finally {
        delete(copy);
      }
      return program;
    } catch (IOException e) {
      throw cannot("cannot write " + program + ": " + e.getMessage(), null, e);
    }
  }

  /** The directory in the jar for a system, as {@code os.name} and {@code os.arch} name it. */
  static String platform(String name, String arch) {
    String system = name.toLowerCase(java.util.Locale.ROOT).replace(' ', '-');
    String machine = arch.equals("amd64") ? "x86_64" : arch;
    String platform = system + "-" + machine;
    if (resource(platform, LIBRARY) == null) {
      throw cannot("there is no native library for " + platform + " in this jar",
          "obbackup runs on Linux with glibc; build the jar on such a machine: make java", null);
    }
    return platform;
  }

  /** {@code <base>/obbackup-<user>}, with nobody else able to look in. */
  static Path privateDirectory(Path base) {
    Path directory = base.resolve("obbackup-" + System.getProperty("user.name"));
    Set<PosixFilePermission> owner = PosixFilePermissions.fromString("rwx------");
    FileAttribute<?> mode = PosixFilePermissions.asFileAttribute(owner);
    try {
      Files.createDirectories(base);
      try {
        Files.createDirectory(directory, mode);
      } catch (FileAlreadyExistsException e) {
        PosixFileAttributes found = Files.readAttributes(directory, PosixFileAttributes.class,
            LinkOption.NOFOLLOW_LINKS);
        if (!found.isDirectory() || !isOurs(found, base)) {
          throw cannot(directory + " is there already and not a directory of this user",
              "Remove it, or set another directory: -D" + OpenOptions.DIRECTORY_PROPERTY + "=...",
              e);
        }
        if (!found.permissions().equals(owner)) {
          Files.setPosixFilePermissions(directory, owner);
        }
      }
      return directory;
    } catch (IOException e) {
      throw cannot("cannot make the directory " + directory + ": " + e,
          "Set one that this user can write: -D" + OpenOptions.DIRECTORY_PROPERTY + "=...", e);
    }
  }

  /** Whether what was found belongs to whom a new file there would belong to. */
  private static boolean isOurs(PosixFileAttributes found, Path base) throws IOException {
    Path probe = Files.createTempFile(base, "obbackup-", null);
    try {
      return Files.getOwner(probe).equals(found.owner());
    } finally {
      Files.delete(probe);
    }
  }

  /** Removes what processes left that died. */
  static void sweep(Path directory, Instant now) {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
      for (Path file : files) {
        Duration age = Duration.between(Files.getLastModifiedTime(file).toInstant(), now);
        boolean isCopy = file.getFileName().toString().startsWith("lib-");
        if (age.compareTo(isCopy ? LEFTOVER : OLD_PROGRAM) > 0) {
          Files.deleteIfExists(file);
        }
      }
    } catch (IOException e) {
      // Another process may sweep at the same time; what is left is left for the next.
      return;
    }
  }

  /**
   * Copies a file out of the jar; nothing but the very bytes that the build put in may be loaded.
   */
  private static void extract(String platform, String name, Path to) {
    String expected = expectedSum(platform, name);
    String sum;
    Set<StandardOpenOption> fresh =
        EnumSet.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    FileAttribute<?> mode =
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
    try (InputStream in = resource(platform, name)) {
      if (in == null) {
        throw cannot("this jar has no " + name + " for " + platform, "Build it: make java", null);
      }
      try (OutputStream out = Channels.newOutputStream(FileChannel.open(to, fresh, mode))) {
        sum = copy(in, out);
      }
    } catch (IOException e) {
      throw cannot("cannot write " + to + ": " + e.getMessage(),
          "Make room there, or set another directory: -D" + OpenOptions.DIRECTORY_PROPERTY
              + "=...", e);
    }
    check(name, expected, sum);
  }

  /** Refuses a file that is not what the build put into the jar. */
  static void check(String name, String expected, String found) {
    if (!expected.equals(found)) {
      throw cannot(name + " in this jar is damaged: its SHA-256 is " + found + ", expected "
          + expected, "The jar was cut short or changed; install it anew.", null);
    }
  }

  private static String copy(InputStream in, OutputStream out) throws IOException {
    DigestInputStream digesting = new DigestInputStream(in, sha256());
    digesting.transferTo(out);
    return hex(digesting.getMessageDigest().digest());
  }

  private static String sumOf(Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      return copy(in, OutputStream.nullOutputStream());
    }
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  private static String hex(byte[] bytes) {
    StringBuilder text = new StringBuilder();
    for (byte b : bytes) {
      text.append(String.format("%02x", b));
    }
    return text.toString();
  }

  private static String expectedSum(String platform, String name) {
    try (InputStream in = resource(platform, SUMS)) {
      if (in != null) {
        String sums = new String(in.readAllBytes(), StandardCharsets.US_ASCII);
        for (String line : sums.split("\n")) {
          if (line.endsWith("  " + name)) {
            return line.substring(0, 64);
          }
        }
      }
    } catch (IOException e) {
      throw cannot("this jar cannot be read: " + e.getMessage(), "Install it anew.", e);
    }
    throw cannot("this jar has no checksum of " + name + " for " + platform,
        "Build it with: make java", null);
  }

  /** Loads one file, and says in words why not. */
  static void link(Path file) {
    try {
      System.load(file.toString());
    } catch (UnsatisfiedLinkError e) {
      throw explain(String.valueOf(e.getMessage()), file.getParent(), e);
    }
  }

  /** What the dynamic linker means. */
  static BackupException explain(String message, Path directory, Throwable cause) {
    String anotherDirectory =
        "Set a directory that may execute: -D" + OpenOptions.DIRECTORY_PROPERTY + "=...";
    int version = message.indexOf("GLIBC_");
    if (version >= 0 && message.contains("not found")) {
      String needed = message.substring(version + 6).replaceAll("[^0-9.].*", "");
      return cannot(
          "the native library needs glibc " + needed + " or newer, and this system's is older",
          "Use a newer system, or build the jar on this one: make java", cause);
    }
    if (message.contains("failed to map segment")) {
      return cannot("the directory " + directory + " does not allow to execute (noexec)",
          anotherDirectory, cause);
    }
    if (message.contains("ld-linux") || message.contains("Error relocating")) {
      return cannot("this system has no glibc (" + message + ")",
          "obbackup needs a system with glibc; Alpine's musl is not one.", cause);
    }
    if (message.contains("Permission denied") || message.contains("Operation not permitted")) {
      return cannot("the system forbids to load from " + directory + " (" + message + ")",
          anotherDirectory, cause);
    }
    return cannot("the native library cannot be loaded: " + message, null, cause);
  }

  /** The two are built together; any other pair may not understand each other. */
  static void compare(String library, String jar) {
    if (!library.equals(jar)) {
      throw cannot("the native library has version " + library + ", the jar " + jar,
          "Install the jar anew: it was put together wrongly.", null);
    }
  }

  private static String jarVersion() {
    Properties properties = new Properties();
    try (InputStream in = NativeLibrary.class.getResourceAsStream("version.properties")) {
      if (in != null) {
        properties.load(in);
      }
    } catch (IOException e) {
      throw cannot("this jar cannot be read: " + e.getMessage(), "Install it anew.", e);
    }
    return properties.getProperty("version", "unknown");
  }

  private static InputStream resource(String platform, String name) {
    return NativeLibrary.class.getResourceAsStream("/native/" + platform + "/" + name);
  }

  private static void delete(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      // A later sweep finds it.
      return;
    }
  }

  private static BackupException cannot(String message, String hint, Throwable cause) {
    return new BackupException(BackupException.Code.LIBRARY, message, hint, cause);
  }
}
