package webapp;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import javax.servlet.ServletConfig;
import javax.servlet.ServletContext;
import javax.servlet.ServletContextEvent;
import javax.servlet.ServletContextListener;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import org.openbravo.backup.Backup;
import org.openbravo.backup.BackupException;
import org.openbravo.backup.BackupOptions;
import org.openbravo.backup.OpenOptions;

/**
 * A small web application with the jar in WEB-INF/lib: opens at its start, ends all at its stop.
 */
public final class Application extends HttpServlet implements ServletContextListener {
  private static final long serialVersionUID = 1L;

  private transient ServletContext context;

  @Override
  public void contextInitialized(ServletContextEvent event) {
    ServletContext started = event.getServletContext();
    Path place = Path.of(started.getInitParameter("place"));
    OpenOptions options = OpenOptions.of(Path.of(started.getInitParameter("instance")))
        .configuration(place.resolve("obbackup.toml"));
    started.setAttribute("backup", Backup.open(options));
    started.setAttribute("slow", Backup.open(options.bytesPerSecond(500_000)));
    started.setAttribute("jobs", Executors.newSingleThreadExecutor());
  }

  @Override
  public void contextDestroyed(ServletContextEvent event) {
    Backup.shutdown();
    ExecutorService jobs = (ExecutorService) event.getServletContext().getAttribute("jobs");
    jobs.shutdown();
    try {
      if (!jobs.awaitTermination(5, TimeUnit.SECONDS)) {
        throw new IllegalStateException("a job has not ended");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void init(ServletConfig config) {
    context = config.getServletContext();
  }

  @Override
  protected void doGet(HttpServletRequest request, HttpServletResponse response)
      throws IOException {
    Backup backup = (Backup) context.getAttribute("backup");
    Backup slow = (Backup) context.getAttribute("slow");
    try {
      response.getWriter().print(answer(request.getPathInfo(), backup, slow));
    } catch (BackupException e) {
      response.sendError(HttpServletResponse.SC_INTERNAL_SERVER_ERROR, e.toString());
    }
  }

  private String answer(String path, Backup backup, Backup slow) {
    switch (path) {
      case "/init":
        return backup.init(context.getInitParameter("place") + "/repository").json();
      case "/backup":
        return backup.backup(BackupOptions.all()).json();
      case "/slow":
        ((ExecutorService) context.getAttribute("jobs"))
            .execute(() -> ended(slow));
        return "";
      case "/progress":
        return slow.progress().json();
      default:
        return backup.status().json();
    }
  }

  /** The end of the application stops it. */
  private static void ended(Backup slow) {
    try {
      slow.backup(BackupOptions.all());
    } catch (BackupException e) {
      if (e.code() != BackupException.Code.CANCELLED) {
        throw e;
      }
    }
  }
}
