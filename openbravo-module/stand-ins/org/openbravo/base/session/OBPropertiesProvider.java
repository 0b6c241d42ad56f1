package org.openbravo.base.session;

import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/** Reads the configuration of the instance that the system property names. */
public class OBPropertiesProvider {
  public static final String INSTANCE_PROPERTY = "org.openbravo.stand-in.instance";
  private static final OBPropertiesProvider INSTANCE = new OBPropertiesProvider();

  public static OBPropertiesProvider getInstance() {
    return INSTANCE;
  }

  public Properties getOpenbravoProperties() {
    Properties properties = new Properties();
    Path file = Path.of(System.getProperty(INSTANCE_PROPERTY), "config/Openbravo.properties");
    try (Reader reader = Files.newBufferedReader(file)) {
      properties.load(reader);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
    return properties;
  }
}
