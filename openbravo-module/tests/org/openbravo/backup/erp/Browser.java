package org.openbravo.backup.erp;

import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;

import org.codehaus.jettison.json.JSONArray;
import org.codehaus.jettison.json.JSONException;
import org.codehaus.jettison.json.JSONObject;

/** A headless browser with one window, driven by its own driver over HTTP. */
final class Browser implements AutoCloseable {
  private static final long PATIENCE_MILLISECONDS = 60_000;

  private final HttpClient client = HttpClient.newHttpClient();
  private final Process driver;
  private final String base;
  private String session = "";

  /** Whether there is a driver on this machine. */
  static boolean isAtHand() {
    return Arrays.stream(System.getenv("PATH").split(":"))
        .anyMatch(directory -> Files.isExecutable(Path.of(directory, "chromedriver")));
  }

  Browser(Path profile) throws Exception {
    int port;
    try (ServerSocket socket = new ServerSocket(0)) {
      port = socket.getLocalPort();
    }
    base = "http://127.0.0.1:" + port;
    driver = new ProcessBuilder("chromedriver", "--port=" + port)
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .start();
    waitFor(() -> {
      try {
        return send("GET", "/status", null).optBoolean("ready");
      } catch (IOException e) {
        return false;
      }
    });
    JSONObject options = new JSONObject().put("args",
        new JSONArray(Arrays.asList("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update",
            "--window-size=760,420", "--user-data-dir=" + profile)));
    JSONObject asked = new JSONObject().put("capabilities", new JSONObject().put("alwaysMatch",
        new JSONObject().put("goog:chromeOptions", options)));
    session = "/session/" + send("POST", "/session", asked).getString("sessionId");
  }

  void open(String url) throws Exception {
    send("POST", session + "/url", new JSONObject().put("url", url));
  }

  /** What a script returns, as text. */
  String run(String script) throws Exception {
    JSONObject asked = new JSONObject().put("script", script).put("args", new JSONArray());
    return String.valueOf(value("POST", session + "/execute/sync", asked));
  }

  /** Waits until a condition holds in the page. */
  void until(String condition) throws Exception {
    waitFor(() -> run("return Boolean(" + condition + ")").equals("true"));
  }

  void picture(Path file) throws Exception {
    Files.createDirectories(file.getParent());
    String encoded = value("GET", session + "/screenshot", null).toString();
    Files.write(file, Base64.getDecoder().decode(encoded));
  }

  private JSONObject send(String method, String path, JSONObject body)
      throws IOException, JSONException {
    Object value = value(method, path, body);
    return value instanceof JSONObject ? (JSONObject) value : new JSONObject();
  }

  private Object value(String method, String path, JSONObject body)
      throws IOException, JSONException {
    HttpRequest.BodyPublisher content = body == null ? HttpRequest.BodyPublishers.noBody()
        : HttpRequest.BodyPublishers.ofString(body.toString());
    HttpRequest request = HttpRequest.newBuilder(URI.create(base + path))
        .method(method, content)
        .build();
    HttpResponse<String> response;
    try {
      response = client.send(request, HttpResponse.BodyHandlers.ofString());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException(e);
    }
    if (response.statusCode() != 200) {
      throw new IllegalStateException(response.body());
    }
    return new JSONObject(response.body()).opt("value");
  }

  private interface Condition {
    boolean holds() throws Exception;
  }

  private static void waitFor(Condition condition) throws Exception {
    long end = System.currentTimeMillis() + PATIENCE_MILLISECONDS;
    while (!condition.holds()) {
      if (System.currentTimeMillis() > end) {
        throw new IllegalStateException("waited in vain");
      }
      Thread.sleep(100);
    }
  }

  @Override
  public void close() throws IOException, JSONException {
    try {
      if (!session.isEmpty()) {
        value("DELETE", session, null);
      }
    } finally {
      driver.destroy();
      driver.onExit().join();
    }
  }
}
