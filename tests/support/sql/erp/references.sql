-- Keys that refer to another table's, views, triggers: what needs all tables.

ALTER TABLE c_order ADD CONSTRAINT c_order_c_bpartner FOREIGN KEY (c_bpartner_id) REFERENCES c_bpartner;
ALTER TABLE c_order ADD CONSTRAINT c_order_location FOREIGN KEY (c_bpartner_location_id) REFERENCES c_bpartner_location;
ALTER TABLE c_orderline ADD CONSTRAINT c_orderline_c_order FOREIGN KEY (c_order_id) REFERENCES c_order ON DELETE CASCADE;
ALTER TABLE c_orderline ADD CONSTRAINT c_orderline_m_product FOREIGN KEY (m_product_id) REFERENCES m_product;
ALTER TABLE c_invoice ADD CONSTRAINT c_invoice_c_order FOREIGN KEY (c_order_id) REFERENCES c_order;
ALTER TABLE c_invoiceline ADD CONSTRAINT c_invoiceline_c_invoice FOREIGN KEY (c_invoice_id) REFERENCES c_invoice;
ALTER TABLE c_invoiceline ADD CONSTRAINT c_invoiceline_orderline FOREIGN KEY (c_orderline_id) REFERENCES c_orderline;
ALTER TABLE m_inout ADD CONSTRAINT m_inout_c_order FOREIGN KEY (c_order_id) REFERENCES c_order;
ALTER TABLE fin_payment_schedule ADD CONSTRAINT fin_payment_schedule_c_invoice FOREIGN KEY (c_invoice_id) REFERENCES c_invoice;
ALTER TABLE m_transaction ADD CONSTRAINT m_transaction_m_product FOREIGN KEY (m_product_id) REFERENCES m_product;
ALTER TABLE fact_acct ADD CONSTRAINT fact_acct_account_fk FOREIGN KEY (account_id) REFERENCES c_elementvalue;
ALTER TABLE fact_acct ADD CONSTRAINT fact_acct_period FOREIGN KEY (c_period_id) REFERENCES c_period;
ALTER TABLE c_bpartner ADD CONSTRAINT c_bpartner_group FOREIGN KEY (c_bp_group_id) REFERENCES c_bp_group;
ALTER TABLE c_bpartner_location ADD CONSTRAINT c_bpartner_location_partner FOREIGN KEY (c_bpartner_id) REFERENCES c_bpartner;
ALTER TABLE c_bpartner_location ADD CONSTRAINT c_bpartner_location_place FOREIGN KEY (c_location_id) REFERENCES c_location;
ALTER TABLE c_location ADD CONSTRAINT c_location_country FOREIGN KEY (c_country_id) REFERENCES c_country;
ALTER TABLE m_product ADD CONSTRAINT m_product_category_fk FOREIGN KEY (m_product_category_id) REFERENCES m_product_category;
ALTER TABLE m_product ADD CONSTRAINT m_product_image FOREIGN KEY (ad_image_id) REFERENCES ad_image;
ALTER TABLE m_productprice ADD CONSTRAINT m_productprice_product_fk FOREIGN KEY (m_product_id) REFERENCES m_product;
ALTER TABLE m_storage_detail ADD CONSTRAINT m_storage_detail_product FOREIGN KEY (m_product_id) REFERENCES m_product;
ALTER TABLE ad_column ADD CONSTRAINT ad_column_ad_table FOREIGN KEY (ad_table_id) REFERENCES ad_table DEFERRABLE;
ALTER TABLE c_attachment_conf ADD CONSTRAINT c_attachment_conf_method
    FOREIGN KEY (c_attachment_method_id) REFERENCES c_attachment_method;
ALTER TABLE c_file ADD CONSTRAINT c_file_conf FOREIGN KEY (c_attachment_conf_id) REFERENCES c_attachment_conf;
ALTER TABLE c_file ADD CONSTRAINT c_file_ad_table FOREIGN KEY (ad_table_id) REFERENCES ad_table;

CREATE VIEW c_order_header_v AS
SELECT o.c_order_id, o.documentno, o.dateordered, o.grandtotal, p.value AS partner, p.name AS partner_name,
    c_location_identifier(l.c_location_id) AS address
FROM c_order o
JOIN c_bpartner p ON p.c_bpartner_id = o.c_bpartner_id
JOIN c_bpartner_location l ON l.c_bpartner_location_id = o.c_bpartner_location_id;
CREATE VIEW c_invoice_open_v AS
SELECT i.c_invoice_id, i.documentno, i.grandtotal - coalesce(s.paid, 0) AS open, i.duedate
FROM c_invoice i
LEFT JOIN (SELECT c_invoice_id, sum(paidamt) AS paid FROM fin_payment_schedule GROUP BY c_invoice_id) s
    ON s.c_invoice_id = i.c_invoice_id
WHERE i.ispaid = 'N' AND i.docstatus IN ('CO', 'CL');
CREATE VIEW fact_acct_balance_v AS
SELECT account_id, c_period_id, sum(amtacctdr) AS debit, sum(amtacctcr) AS credit, sum(amtacctdr - amtacctcr) AS balance
FROM fact_acct GROUP BY account_id, c_period_id;
CREATE VIEW m_stock_v AS
SELECT p.m_product_id, p.value, p.name, sum(s.qtyonhand) AS onhand
FROM m_product p LEFT JOIN m_storage_detail s USING (m_product_id) GROUP BY p.m_product_id;
CREATE MATERIALIZED VIEW sales_of_month_mv AS
SELECT trunc(dateordered, 'MM') AS month, count(*) AS orders, sum(grandtotal) AS total FROM c_order GROUP BY 1;
CREATE UNIQUE INDEX sales_of_month_mv_key ON sales_of_month_mv (month);
COMMENT ON VIEW c_invoice_open_v IS '--OBTG:nothing is left to pay--';
COMMENT ON TABLE c_order IS '--OBTG:ONCREATEDEFAULT--';

CREATE TRIGGER c_order_trg BEFORE INSERT OR UPDATE ON c_order FOR EACH ROW EXECUTE FUNCTION c_order_check();
CREATE TRIGGER c_orderline_trg AFTER INSERT OR UPDATE OR DELETE ON c_orderline FOR EACH ROW EXECUTE FUNCTION c_orderline_total();
CREATE TRIGGER c_bpartner_trg BEFORE UPDATE ON c_bpartner FOR EACH ROW EXECUTE FUNCTION set_updated();
CREATE TRIGGER m_product_trg BEFORE UPDATE ON m_product FOR EACH ROW EXECUTE FUNCTION set_updated();
