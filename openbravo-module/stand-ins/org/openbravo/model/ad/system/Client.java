package org.openbravo.model.ad.system;

import org.openbravo.base.structure.BaseOBObject;

public class Client extends BaseOBObject {
}
