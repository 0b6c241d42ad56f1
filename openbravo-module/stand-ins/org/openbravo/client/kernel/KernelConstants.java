package org.openbravo.client.kernel;

public interface KernelConstants {
  String HTTP_REQUEST = "_httpRequest";
}
