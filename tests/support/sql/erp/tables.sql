-- The tables of an ERP's database, in the shape of Openbravo's: keys of 32 hexadecimal digits, eight columns that
-- every table has, no sequences. Without keys and indexes, which come after the rows.

CREATE TABLE standard (
    ad_client_id varchar(32) NOT NULL,
    ad_org_id varchar(32) NOT NULL,
    isactive char(1) NOT NULL DEFAULT 'Y' CHECK (isactive IN ('Y', 'N')),
    created timestamp NOT NULL DEFAULT now(),
    createdby varchar(32) NOT NULL,
    updated timestamp NOT NULL DEFAULT now(),
    updatedby varchar(32) NOT NULL
);

-- The application's dictionary and its users.
CREATE TABLE ad_system_info (ad_system_info_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    system_identifier varchar(60), ob_version varchar(20), customization_allowed char(1) NOT NULL DEFAULT 'Y',
    last_build timestamp, last_dbupdate timestamp, db_checksum varchar(32), system_status varchar(60),
    instance_purpose varchar(60), support_contact varchar(200));
CREATE TABLE ad_module (ad_module_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    name varchar(60) NOT NULL, version varchar(10) NOT NULL, description varchar(255), help varchar(2000), type varchar(60)
    NOT NULL, license varchar(2000), isindevelopment char(1) DEFAULT 'N', javapackage varchar(255) NOT NULL,
    author varchar(2000), status varchar(60), ad_language varchar(6), iscommercial char(1) NOT NULL DEFAULT 'N');
CREATE TABLE ad_client (ad_client_id varchar(32) NOT NULL, ad_org_id varchar(32) NOT NULL, isactive char(1) NOT NULL,
    created timestamp NOT NULL, createdby varchar(32) NOT NULL, updated timestamp NOT NULL, updatedby varchar(32) NOT NULL,
    value varchar(40) NOT NULL, name varchar(60) NOT NULL, description varchar(255), ad_language varchar(6));
CREATE TABLE ad_org (ad_org_id varchar(32) NOT NULL, ad_client_id varchar(32) NOT NULL, isactive char(1) NOT NULL,
    created timestamp NOT NULL, createdby varchar(32) NOT NULL, updated timestamp NOT NULL, updatedby varchar(32) NOT NULL,
    value varchar(40) NOT NULL, name varchar(60) NOT NULL, issummary char(1) NOT NULL DEFAULT 'N', parent_id varchar(32));
CREATE TABLE ad_user (ad_user_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    name varchar(60) NOT NULL, username varchar(60), password varchar(255), email varchar(255), c_bpartner_id varchar(32),
    islocked char(1) NOT NULL DEFAULT 'N', lastcontact timestamp);
CREATE TABLE ad_role (ad_role_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    name varchar(60) NOT NULL, userlevel char(3) NOT NULL, ismanual char(1) NOT NULL DEFAULT 'Y');
CREATE TABLE ad_session (ad_session_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    websession varchar(32), remote_addr varchar(60), processed char(1) NOT NULL DEFAULT 'N', session_active char(1) NOT NULL,
    login_status varchar(60) NOT NULL, username varchar(255), last_session_ping timestamp);
CREATE TABLE ad_table (ad_table_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    name varchar(60) NOT NULL, tablename varchar(40) NOT NULL, classname varchar(255), accesslevel char(1) NOT NULL,
    isview char(1) NOT NULL DEFAULT 'N', help varchar(2000));
CREATE TABLE ad_column (ad_column_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    name varchar(60) NOT NULL, columnname varchar(40) NOT NULL, description varchar(255), help varchar(2000),
    ad_table_id varchar(32) NOT NULL, ad_reference_id varchar(32) NOT NULL, fieldlength numeric(10, 0) NOT NULL,
    defaultvalue varchar(2000), iskey char(1) NOT NULL, isparent char(1) NOT NULL, ismandatory char(1) NOT NULL,
    seqno numeric(10, 0), position numeric(10, 0));
CREATE TABLE ad_message (ad_message_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    value varchar(60) NOT NULL, msgtext varchar(2000) NOT NULL, msgtype varchar(60) NOT NULL, ad_module_id varchar(32));
CREATE TABLE ad_sequence (ad_sequence_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    name varchar(60) NOT NULL, isautosequence char(1) NOT NULL, incrementno numeric(10, 0) NOT NULL,
    currentnext numeric(10, 0) NOT NULL, prefix varchar(10));
CREATE TABLE ad_image (ad_image_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    name varchar(60) NOT NULL, mimetype varchar(60), width numeric(10, 0), height numeric(10, 0), binarydata bytea);

-- Master data.
CREATE TABLE c_country (c_country_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    name varchar(60) NOT NULL, countrycode char(2) NOT NULL, expressionphone varchar(20));
CREATE TABLE c_location (c_location_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    address1 varchar(60), address2 varchar(60), city varchar(60), postal varchar(10), c_country_id varchar(32) NOT NULL);
CREATE TABLE c_bp_group (c_bp_group_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    value varchar(40) NOT NULL, name varchar(60) NOT NULL);
CREATE TABLE c_bpartner (c_bpartner_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    value varchar(40) NOT NULL, name varchar(60) NOT NULL, name2 varchar(60), description varchar(255),
    c_bp_group_id varchar(32) NOT NULL, isvendor char(1) NOT NULL, iscustomer char(1) NOT NULL, isemployee char(1) NOT NULL,
    taxid varchar(20), url varchar(120), ad_language varchar(6), firstsale timestamp, so_creditlimit numeric,
    so_creditused numeric, c_paymentterm_id varchar(32), m_pricelist_id varchar(32), invoicerule varchar(60),
    deliveryrule varchar(60), deliveryviarule varchar(60), socreditstatus varchar(60), isworker char(1) NOT NULL,
    fin_paymentmethod_id varchar(32), customer_blocking char(1) NOT NULL, vendor_blocking char(1) NOT NULL);
CREATE TABLE c_bpartner_location (c_bpartner_location_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    name varchar(60) NOT NULL, isbillto char(1) NOT NULL, isshipto char(1) NOT NULL, phone varchar(40), fax varchar(40),
    c_bpartner_id varchar(32) NOT NULL, c_location_id varchar(32) NOT NULL, upc varchar(30));
CREATE TABLE m_product_category (m_product_category_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    value varchar(40) NOT NULL, name varchar(60) NOT NULL, plannedmargin numeric NOT NULL);
CREATE TABLE m_product (m_product_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    value varchar(40) NOT NULL, name varchar(60) NOT NULL, description varchar(255), help varchar(2000), upc varchar(30),
    sku varchar(30), c_uom_id varchar(32) NOT NULL, isstocked char(1) NOT NULL, ispurchased char(1) NOT NULL,
    issold char(1) NOT NULL, m_product_category_id varchar(32) NOT NULL, volume numeric, weight numeric,
    c_taxcategory_id varchar(32) NOT NULL, discontinued char(1) NOT NULL, producttype varchar(60) NOT NULL,
    imageurl varchar(120), ad_image_id varchar(32), stock_min numeric(10, 0), characteristic_desc varchar(2000));
CREATE TABLE m_productprice (m_productprice_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    m_pricelist_version_id varchar(32) NOT NULL, m_product_id varchar(32) NOT NULL, pricelist numeric NOT NULL,
    pricestd numeric NOT NULL, pricelimit numeric NOT NULL);
CREATE TABLE m_storage_detail (m_storage_detail_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    m_product_id varchar(32) NOT NULL, m_locator_id varchar(32) NOT NULL, m_attributesetinstance_id varchar(32),
    c_uom_id varchar(32) NOT NULL, qtyonhand numeric NOT NULL, preqtyonhand numeric NOT NULL, datelastinventory timestamp);
CREATE TABLE c_elementvalue (c_elementvalue_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    value varchar(40) NOT NULL, name varchar(60) NOT NULL, accounttype varchar(60) NOT NULL, accountsign varchar(60));
CREATE TABLE c_period (c_period_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    name varchar(60) NOT NULL, periodno numeric(10, 0) NOT NULL, startdate timestamp NOT NULL, enddate timestamp NOT NULL);

-- Documents and ledgers, which grow at their ends.
CREATE TABLE c_order (c_order_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    issotrx char(1) NOT NULL, documentno varchar(30) NOT NULL, docstatus varchar(60) NOT NULL, docaction varchar(60) NOT NULL,
    processing char(1), processed char(1) NOT NULL, c_doctype_id varchar(32) NOT NULL, c_doctypetarget_id varchar(32),
    description varchar(255), isdelivered char(1) NOT NULL, isinvoiced char(1) NOT NULL, isprinted char(1) NOT NULL,
    salesrep_id varchar(32), dateordered timestamp NOT NULL, datepromised timestamp, dateacct timestamp NOT NULL,
    c_bpartner_id varchar(32) NOT NULL, billto_id varchar(32), c_bpartner_location_id varchar(32) NOT NULL,
    poreference varchar(20), c_currency_id varchar(32) NOT NULL, paymentrule varchar(60) NOT NULL,
    c_paymentterm_id varchar(32) NOT NULL, invoicerule varchar(60) NOT NULL, deliveryrule varchar(60) NOT NULL,
    freightcostrule varchar(60) NOT NULL, deliveryviarule varchar(60) NOT NULL, priorityrule varchar(60) NOT NULL,
    totallines numeric NOT NULL, grandtotal numeric NOT NULL, m_warehouse_id varchar(32) NOT NULL,
    m_pricelist_id varchar(32) NOT NULL, istaxincluded char(1), c_project_id varchar(32), posted varchar(60) NOT NULL,
    ad_user_id varchar(32), deliverynotes varchar(2000), fin_paymentmethod_id varchar(32), c_costcenter_id varchar(32),
    so_res_status varchar(60), iscashvat char(1) NOT NULL);
CREATE TABLE c_orderline (c_orderline_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    c_order_id varchar(32) NOT NULL, line numeric(10, 0) NOT NULL, c_bpartner_id varchar(32),
    c_bpartner_location_id varchar(32), dateordered timestamp NOT NULL, datepromised timestamp, datedelivered timestamp,
    dateinvoiced timestamp, description varchar(2000), m_product_id varchar(32), m_warehouse_id varchar(32) NOT NULL,
    directship char(1) NOT NULL, c_uom_id varchar(32) NOT NULL, qtyordered numeric NOT NULL, qtyreserved numeric NOT NULL,
    qtydelivered numeric NOT NULL, qtyinvoiced numeric NOT NULL, c_currency_id varchar(32) NOT NULL,
    pricelist numeric NOT NULL, priceactual numeric NOT NULL, pricelimit numeric NOT NULL, linenetamt numeric NOT NULL,
    discount numeric, freightamt numeric NOT NULL, c_tax_id varchar(32) NOT NULL, m_attributesetinstance_id varchar(32),
    pricestd numeric NOT NULL, taxbaseamt numeric, gross_unit_price numeric, line_gross_amount numeric,
    c_project_id varchar(32), so_res_status varchar(60));
CREATE TABLE m_inout (m_inout_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    issotrx char(1) NOT NULL, documentno varchar(30) NOT NULL, docstatus varchar(60) NOT NULL, docaction varchar(60) NOT NULL,
    posted varchar(60) NOT NULL, c_doctype_id varchar(32) NOT NULL, description varchar(255), c_order_id varchar(32),
    movementtype varchar(60) NOT NULL, movementdate timestamp NOT NULL, dateacct timestamp NOT NULL,
    c_bpartner_id varchar(32) NOT NULL, m_warehouse_id varchar(32) NOT NULL, trackingno varchar(60));
CREATE TABLE c_invoice (c_invoice_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    issotrx char(1) NOT NULL, documentno varchar(30) NOT NULL, docstatus varchar(60) NOT NULL, docaction varchar(60) NOT NULL,
    processed char(1) NOT NULL, posted varchar(60) NOT NULL, c_doctype_id varchar(32) NOT NULL, c_order_id varchar(32),
    description varchar(255), salesrep_id varchar(32), dateinvoiced timestamp NOT NULL, dateacct timestamp NOT NULL,
    c_bpartner_id varchar(32) NOT NULL, c_bpartner_location_id varchar(32) NOT NULL, c_currency_id varchar(32) NOT NULL,
    c_paymentterm_id varchar(32) NOT NULL, totallines numeric NOT NULL, grandtotal numeric NOT NULL,
    m_pricelist_id varchar(32) NOT NULL, ispaid char(1) NOT NULL, totalpaid numeric, outstandingamt numeric, duedate timestamp,
    fin_paymentmethod_id varchar(32));
CREATE TABLE c_invoiceline (c_invoiceline_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    c_invoice_id varchar(32) NOT NULL, c_orderline_id varchar(32), line numeric(10, 0) NOT NULL, description varchar(2000),
    financial_invoice_line char(1) NOT NULL, account_id varchar(32), m_product_id varchar(32), qtyinvoiced numeric NOT NULL,
    pricelist numeric NOT NULL, priceactual numeric NOT NULL, pricelimit numeric NOT NULL, linenetamt numeric NOT NULL,
    c_uom_id varchar(32), c_tax_id varchar(32), m_attributesetinstance_id varchar(32), taxamt numeric,
    c_bpartner_id varchar(32), pricestd numeric NOT NULL, taxbaseamt numeric, line_gross_amount numeric);
CREATE TABLE fin_payment_schedule (fin_payment_schedule_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    duedate timestamp NOT NULL, c_order_id varchar(32), c_invoice_id varchar(32), fin_paymentmethod_id varchar(32) NOT NULL,
    c_currency_id varchar(32) NOT NULL, amount numeric NOT NULL, paidamt numeric NOT NULL, outstandingamt numeric NOT NULL,
    lastpaymentdate timestamp, numberofpayments numeric(10, 0));
CREATE TABLE m_transaction (m_transaction_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    movementtype varchar(60) NOT NULL, m_locator_id varchar(32) NOT NULL, m_product_id varchar(32) NOT NULL,
    movementdate timestamp NOT NULL, movementqty numeric NOT NULL, m_inoutline_id varchar(32),
    m_attributesetinstance_id varchar(32), c_uom_id varchar(32) NOT NULL, transactioncost numeric, trxprocessdate timestamp
    NOT NULL, iscostcalculated char(1) NOT NULL, c_currency_id varchar(32), costing_status varchar(60), isprocessed char(1));
CREATE TABLE fact_acct (fact_acct_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    c_acctschema_id varchar(32) NOT NULL, account_id varchar(32) NOT NULL, datetrx timestamp NOT NULL, dateacct timestamp
    NOT NULL, c_period_id varchar(32), ad_table_id varchar(32) NOT NULL, record_id varchar(32) NOT NULL, line_id varchar(32),
    gl_category_id varchar(32), c_tax_id varchar(32), m_locator_id varchar(32), postingtype varchar(60) NOT NULL,
    c_currency_id varchar(32) NOT NULL, amtsourcedr numeric NOT NULL, amtsourcecr numeric NOT NULL,
    amtacctdr numeric NOT NULL, amtacctcr numeric NOT NULL, c_uom_id varchar(32), qty numeric, m_product_id varchar(32),
    c_bpartner_id varchar(32), c_project_id varchar(32), description varchar(255), fact_acct_group_id varchar(32) NOT NULL,
    seqno numeric(10, 0) NOT NULL, factaccttype varchar(60), docbasetype varchar(40), acctvalue varchar(40),
    acctdescription varchar(255), record_id2 varchar(32), c_doctype_id varchar(32), ismodify char(1) NOT NULL);

-- Attachments: a row here for each file under attach.path.
CREATE TABLE c_attachment_method (c_attachment_method_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    ad_module_id varchar(32) NOT NULL, name varchar(60) NOT NULL, value varchar(40) NOT NULL);
CREATE TABLE c_attachment_conf (c_attachment_conf_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    c_attachment_method_id varchar(32) NOT NULL);
CREATE TABLE c_file (c_file_id varchar(32) NOT NULL, LIKE standard INCLUDING ALL,
    name varchar(1000) NOT NULL, c_datatype_id varchar(32), seqno numeric(10, 0) NOT NULL, text varchar(2000),
    ad_table_id varchar(32) NOT NULL, ad_record_id varchar(32) NOT NULL, path varchar(2000), c_attachment_conf_id varchar(32));

-- The many small tables that modules bring.
DO $do$
DECLARE
    name text;
BEGIN
    FOR n IN 1..200 LOOP
        name := (ARRAY['obx', 'aprm', 'obkmo', 'obuiapp', 'obcql', 'obps', 'obserds', 'obanaly'])[1 + n % 8] || '_'
            || (ARRAY['parameter', 'process', 'widget', 'filter', 'template', 'status', 'access', 'line'])[1 + n / 8 % 8]
            || '_' || n;
        EXECUTE format(
            'CREATE TABLE %I (%I varchar(32) NOT NULL PRIMARY KEY, LIKE standard INCLUDING ALL,
                value varchar(40) NOT NULL, name varchar(60) NOT NULL, description varchar(255), seqno numeric(10, 0),
                parent_id varchar(32))', name, name || '_id');
        EXECUTE format(
            'INSERT INTO %I SELECT upper(md5(%L || i)), ''0'', ''0'', ''Y'', ''2019-01-01'', ''100'', ''2024-11-01'', ''100'',
                %L || i, initcap(replace(%L, ''_'', '' '')) || '' '' || i, ''Entry '' || i || '' of '' || %L, i * 10, NULL
             FROM generate_series(1, %s) i', name, name, upper(name), name, name, n % 60);
    END LOOP;
END
$do$;
DROP TABLE standard;
