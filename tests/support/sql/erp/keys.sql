-- Keys and indexes. Parts run side by side; keys that refer to another table's come in references.sql.

--- fact_acct
ALTER TABLE fact_acct ADD CONSTRAINT fact_acct_key PRIMARY KEY (fact_acct_id);
CREATE INDEX fact_acct_record ON fact_acct (record_id, ad_table_id);
CREATE INDEX fact_acct_account ON fact_acct (account_id, dateacct);
ALTER TABLE fact_acct ADD CONSTRAINT fact_acct_ismodify_chk CHECK (ismodify IN ('Y', 'N'));

--- documents
ALTER TABLE c_orderline ADD CONSTRAINT c_orderline_key PRIMARY KEY (c_orderline_id);
CREATE INDEX c_orderline_order ON c_orderline (c_order_id);
CREATE INDEX c_orderline_product ON c_orderline (m_product_id);
ALTER TABLE c_invoiceline ADD CONSTRAINT c_invoiceline_key PRIMARY KEY (c_invoiceline_id);
CREATE INDEX c_invoiceline_invoice ON c_invoiceline (c_invoice_id);
ALTER TABLE m_transaction ADD CONSTRAINT m_transaction_key PRIMARY KEY (m_transaction_id);
CREATE INDEX m_transaction_product ON m_transaction (m_product_id, movementdate);
ALTER TABLE c_order ADD CONSTRAINT c_order_key PRIMARY KEY (c_order_id);
CREATE INDEX c_order_partner ON c_order (c_bpartner_id);
CREATE INDEX c_order_documentno ON c_order (documentno);
CREATE INDEX c_order_day ON c_order (trunc(dateordered, 'DD'));
ALTER TABLE m_inout ADD CONSTRAINT m_inout_key PRIMARY KEY (m_inout_id);
ALTER TABLE c_invoice ADD CONSTRAINT c_invoice_key PRIMARY KEY (c_invoice_id);
CREATE INDEX c_invoice_partner ON c_invoice (c_bpartner_id) WHERE ispaid = 'N';
ALTER TABLE fin_payment_schedule ADD CONSTRAINT fin_payment_schedule_key PRIMARY KEY (fin_payment_schedule_id);
CREATE INDEX fin_payment_schedule_invoice ON fin_payment_schedule (c_invoice_id);
ALTER TABLE c_file ADD CONSTRAINT c_file_key PRIMARY KEY (c_file_id);
CREATE INDEX c_file_record ON c_file (ad_record_id, ad_table_id);
ALTER TABLE ad_session ADD CONSTRAINT ad_session_key PRIMARY KEY (ad_session_id);

--- masters
ALTER TABLE ad_system_info ADD CONSTRAINT ad_system_info_key PRIMARY KEY (ad_system_info_id);
ALTER TABLE ad_module ADD CONSTRAINT ad_module_key PRIMARY KEY (ad_module_id);
ALTER TABLE ad_client ADD CONSTRAINT ad_client_key PRIMARY KEY (ad_client_id);
ALTER TABLE ad_org ADD CONSTRAINT ad_org_key PRIMARY KEY (ad_org_id);
ALTER TABLE ad_user ADD CONSTRAINT ad_user_key PRIMARY KEY (ad_user_id);
CREATE UNIQUE INDEX ad_user_username ON ad_user (username) WHERE username IS NOT NULL;
ALTER TABLE ad_role ADD CONSTRAINT ad_role_key PRIMARY KEY (ad_role_id);
ALTER TABLE ad_table ADD CONSTRAINT ad_table_key PRIMARY KEY (ad_table_id);
CREATE UNIQUE INDEX ad_table_tablename ON ad_table (lower(tablename));
ALTER TABLE ad_column ADD CONSTRAINT ad_column_key PRIMARY KEY (ad_column_id);
ALTER TABLE ad_message ADD CONSTRAINT ad_message_key PRIMARY KEY (ad_message_id);
ALTER TABLE ad_sequence ADD CONSTRAINT ad_sequence_key PRIMARY KEY (ad_sequence_id);
ALTER TABLE ad_image ADD CONSTRAINT ad_image_key PRIMARY KEY (ad_image_id);
ALTER TABLE c_country ADD CONSTRAINT c_country_key PRIMARY KEY (c_country_id);
ALTER TABLE c_location ADD CONSTRAINT c_location_key PRIMARY KEY (c_location_id);
ALTER TABLE c_bp_group ADD CONSTRAINT c_bp_group_key PRIMARY KEY (c_bp_group_id);
ALTER TABLE c_bpartner ADD CONSTRAINT c_bpartner_key PRIMARY KEY (c_bpartner_id);
ALTER TABLE c_bpartner ADD CONSTRAINT c_bpartner_value UNIQUE (ad_client_id, value);
CREATE INDEX c_bpartner_name ON c_bpartner (upper(name));
CREATE INDEX c_bpartner_name_trgm ON c_bpartner USING gin (name gin_trgm_ops);
ALTER TABLE c_bpartner_location ADD CONSTRAINT c_bpartner_location_key PRIMARY KEY (c_bpartner_location_id);
CREATE INDEX c_bpartner_location_identifier ON c_bpartner_location (c_location_identifier(c_location_id));
ALTER TABLE m_product_category ADD CONSTRAINT m_product_category_key PRIMARY KEY (m_product_category_id);
ALTER TABLE m_product ADD CONSTRAINT m_product_key PRIMARY KEY (m_product_id);
CREATE UNIQUE INDEX m_product_upc ON m_product (obequals(upc, ''), upc, m_product_id);
ALTER TABLE m_productprice ADD CONSTRAINT m_productprice_key PRIMARY KEY (m_productprice_id);
ALTER TABLE m_productprice ADD CONSTRAINT m_productprice_product UNIQUE (m_product_id, m_pricelist_version_id);
ALTER TABLE m_storage_detail ADD CONSTRAINT m_storage_detail_key PRIMARY KEY (m_storage_detail_id);
ALTER TABLE c_elementvalue ADD CONSTRAINT c_elementvalue_key PRIMARY KEY (c_elementvalue_id);
ALTER TABLE c_period ADD CONSTRAINT c_period_key PRIMARY KEY (c_period_id);
ALTER TABLE c_attachment_method ADD CONSTRAINT c_attachment_method_key PRIMARY KEY (c_attachment_method_id);
ALTER TABLE c_attachment_conf ADD CONSTRAINT c_attachment_conf_key PRIMARY KEY (c_attachment_conf_id);
