package org.openbravo.client.kernel;

public interface Component {
}
