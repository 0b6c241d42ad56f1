package org.openbravo.backup;

/**
 * Every native method. Handles are numbers; requests and answers are JSON, the same that the
 * command {@code obbackup --json} prints.
 *
 * <p>The build of the native library reads this file: each declaration stands on one line, and only
 * {@code long}, {@code int}, {@code boolean} and {@code String} may cross.
 *
 * <p>Each method throws {@link BackupException}; those with a handle also {@link
 * IllegalStateException} where it is closed.
 */
final class BackupNative {
  private BackupNative() {}

  static native String version();

  static native long open(String options);

  static native void close(long handle);

  static native String init(long handle, String request);

  static native String backup(long handle, String request);

  static native String restore(long handle, String request);

  static native String undo(long handle, String request);

  static native String job(long handle, String request);

  static native String list(long handle, String request);

  static native String show(long handle, String request);

  static native String verify(long handle, String request);

  static native String drill(long handle, String request);

  static native String delete(long handle, String request);

  static native String forget(long handle, String request);

  static native String prune(long handle, String request);

  static native String copy(long handle, String request);

  static native String pin(long handle, String request);

  static native String schedule(long handle, String request);

  static native String settings(long handle, String request);

  static native String runs(long handle, String request);

  static native String test(long handle, String request);

  static native String status(long handle);

  static native String doctor(long handle);

  static native String storage(long handle);

  static native String repositories(long handle);

  static native String progress(long handle);

  static native boolean cancel(long handle);

  static native void shutdown(int milliseconds);
}
