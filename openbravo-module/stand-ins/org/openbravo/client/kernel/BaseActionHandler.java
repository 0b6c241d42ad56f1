package org.openbravo.client.kernel;

import java.util.Map;

import org.codehaus.jettison.json.JSONObject;

public abstract class BaseActionHandler {
  protected abstract JSONObject execute(Map<String, Object> parameters, String content);
}
