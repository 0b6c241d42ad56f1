-- The rows. Each part fills one table and is a statement of its own, so that parts can run side by side; :orders is
-- the number of orders, and documents are made for the orders from :low to :high.
--
-- Everything is computed from the row's number, so that two databases of one size are alike. Keys are digests, which
-- scatters them as Openbravo's random ones are.

--- fact_acct
INSERT INTO fact_acct
SELECT upper(md5('fa' || i || '-' || l)), 'A1', upper(md5('org' || i % 5)), 'Y', d, upper(md5('user' || i % 40)), d,
    upper(md5('user' || i % 40)), 'SCHEMA', upper(md5('account' || (i * 7 + l * 13) % 300)), d::date, d::date,
    upper(md5('period' || to_char(d, 'YYYYMM'))), CASE WHEN l <= 8 THEN '318' ELSE '319' END,
    upper(md5((CASE WHEN l <= 8 THEN 'inv' ELSE 'ship' END) || i)),
    CASE WHEN l % 3 = 0 THEN upper(md5('il' || i || '-' || l % 4 + 1)) END, 'GLCATEGORY',
    CASE WHEN l % 4 = 0 THEN upper(md5('tax' || i % 8)) END, NULL, 'A', '102',
    CASE WHEN l % 2 = 0 THEN amount ELSE 0 END, CASE WHEN l % 2 = 1 THEN amount ELSE 0 END,
    CASE WHEN l % 2 = 0 THEN amount ELSE 0 END, CASE WHEN l % 2 = 1 THEN amount ELSE 0 END, '100', 1 + (i + l) % 12,
    upper(md5('product' || (i * 31 + (l % 4 + 1) * 17) % :products)), upper(md5('partner' || i * 7919 % :partners)), NULL,
    'Invoice ' || 1000000 + i || ' # ' || l * 10, upper(md5('group' || i || '-' || (l + 1) / 2)), l * 10, 'N', 'ARI',
    lpad(((i * 7 + l * 13) % 300 * 1000)::text, 8, '4300'),
    (ARRAY['Customers', 'Sales of goods', 'VAT due', 'Stock', 'Cost of goods sold', 'Banks', 'Suppliers'])[1 + (i + l) % 7]
        || ' ' || (i * 7 + l * 13) % 300, NULL, 'INVOICE', 'N'
FROM generate_series(:low::bigint, :high::bigint) i
CROSS JOIN generate_series(1, 12) l
CROSS JOIN LATERAL (SELECT timestamp '2016-01-01' + i * interval '2500 days' / :orders + l * interval '0.37 s',
    ((i * 7919 + l * 104729) % 1000000) / 100.0) AS v (d, amount);

--- c_orderline
INSERT INTO c_orderline
SELECT upper(md5('ol' || i || '-' || l)), 'A1', upper(md5('org' || i % 5)), 'Y', d, upper(md5('user' || i % 40)), d,
    upper(md5('user' || i % 40)), upper(md5('order' || i)), l * 10, upper(md5('partner' || i * 7919 % :partners)),
    upper(md5('partnerloc' || i * 7919 % :partners)), d::date, d::date + 7, d::date + 5, d::date + 6,
    CASE WHEN i % 6 = 0 THEN 'As agreed by telephone on ' || to_char(d, 'DD-MM-YYYY') || ', line ' || l END,
    upper(md5('product' || (i * 31 + l * 17) % :products)), upper(md5('warehouse' || i % 3)), 'N', '100', quantity, 0,
    quantity, quantity, '102', price, price * 0.95, price * 0.9, quantity * price * 0.95, 5, 0, upper(md5('tax' || i % 8)),
    '0', price, quantity * price * 0.95, 0, quantity * price * 1.15, NULL, NULL
FROM generate_series(:low::bigint, :high::bigint) i
CROSS JOIN generate_series(1, 4) l
CROSS JOIN LATERAL (SELECT timestamp '2016-01-01' + i * interval '2500 days' / :orders, 1 + (i + l) % 12,
    ((i * 31 + l * 17) % :products * 37 % 20000) / 100.0 + 1) AS v (d, quantity, price);

--- c_invoiceline
INSERT INTO c_invoiceline
SELECT upper(md5('il' || i || '-' || l)), 'A1', upper(md5('org' || i % 5)), 'Y', d, upper(md5('user' || i % 40)), d,
    upper(md5('user' || i % 40)), upper(md5('inv' || i)), upper(md5('ol' || i || '-' || l)), l * 10, NULL, 'N', NULL,
    upper(md5('product' || (i * 31 + l * 17) % :products)), quantity, price, price * 0.95, price * 0.9,
    quantity * price * 0.95, '100', upper(md5('tax' || i % 8)), '0', quantity * price * 0.2,
    upper(md5('partner' || i * 7919 % :partners)), price, quantity * price * 0.95, quantity * price * 1.15
FROM generate_series(:low::bigint, :high::bigint) i
CROSS JOIN generate_series(1, 4) l
CROSS JOIN LATERAL (SELECT timestamp '2016-01-02' + i * interval '2500 days' / :orders, 1 + (i + l) % 12,
    ((i * 31 + l * 17) % :products * 37 % 20000) / 100.0 + 1) AS v (d, quantity, price);

--- m_transaction
INSERT INTO m_transaction
SELECT upper(md5('trx' || i || '-' || l)), 'A1', upper(md5('org' || i % 5)), 'Y', d, upper(md5('user' || i % 40)), d,
    upper(md5('user' || i % 40)), 'C-', upper(md5('locator' || i % 30)),
    upper(md5('product' || (i * 31 + l * 17) % :products)), d::date, -(1 + (i + l) % 12), upper(md5('sl' || i || '-' || l)), '0',
    '100', ((i * 31 + l * 17) % :products * 37 % 20000) / 140.0, d, 'Y', '102', 'CC', 'Y'
FROM generate_series(:low::bigint, :high::bigint) i
CROSS JOIN generate_series(1, 4) l
CROSS JOIN LATERAL (SELECT timestamp '2016-01-01 06:00' + i * interval '2500 days' / :orders) AS v (d);

--- c_order
INSERT INTO c_order
SELECT upper(md5('order' || i)), 'A1', upper(md5('org' || i % 5)), 'Y', d, upper(md5('user' || i % 40)), d + interval '3 days',
    upper(md5('user' || i % 40)), 'Y', (1000000 + i)::text, CASE WHEN i > :high - 20 THEN 'DR' ELSE 'CO' END, '--', 'N', 'Y',
    'ORDER', 'ORDER', 'Order of ' || (ARRAY['spare parts', 'office goods', 'repairs', 'wine and oil', 'cotton'])[1 + i % 5]
        || ', season ' || extract(year FROM d) || '/' || 1 + i % 4, 'Y', 'Y', 'N', upper(md5('user' || i % 12)), d::date,
    d::date + 7, d::date, upper(md5('partner' || i * 7919 % :partners)), upper(md5('partnerloc' || i * 7919 % :partners)),
    upper(md5('partnerloc' || i * 7919 % :partners)), 'PO-' || i * 13 % 99999, '102', 'P', 'TERM', 'D', 'A', 'I', 'P', '5',
    (i * 7919 % 1000000) / 100.0, (i * 7919 % 1000000) / 100.0 * 1.21, upper(md5('warehouse' || i % 3)), 'PRICELIST', 'N', NULL,
    'N', NULL, CASE WHEN i % 9 = 0 THEN 'Ring at gate ' || i % 7 || '; goods over 30 kg only before noon.' END, 'TRANSFER', NULL,
    NULL, 'N'
FROM generate_series(:low::bigint, :high::bigint) i
CROSS JOIN LATERAL (SELECT timestamp '2016-01-01' + i * interval '2500 days' / :orders) AS v (d);

--- m_inout
INSERT INTO m_inout
SELECT upper(md5('ship' || i)), 'A1', upper(md5('org' || i % 5)), 'Y', d, upper(md5('user' || i % 40)), d,
    upper(md5('user' || i % 40)), 'Y', (500000 + i)::text, 'CO', '--', 'Y', 'SHIPMENT', NULL, upper(md5('order' || i)), 'C-',
    d::date, d::date, upper(md5('partner' || i * 7919 % :partners)), upper(md5('warehouse' || i % 3)), 'TR' || i * 99991
FROM generate_series(:low::bigint, :high::bigint) i
CROSS JOIN LATERAL (SELECT timestamp '2016-01-01 06:00' + i * interval '2500 days' / :orders) AS v (d);

--- c_invoice
INSERT INTO c_invoice
SELECT upper(md5('inv' || i)), 'A1', upper(md5('org' || i % 5)), 'Y', d, upper(md5('user' || i % 40)), d,
    upper(md5('user' || i % 40)), 'Y', (1000000 + i)::text, 'CO', '--', 'Y', 'Y', 'INVOICE', upper(md5('order' || i)),
    'Invoice of order ' || 1000000 + i, upper(md5('user' || i % 12)), d::date, d::date,
    upper(md5('partner' || i * 7919 % :partners)), upper(md5('partnerloc' || i * 7919 % :partners)), '102', 'TERM',
    (i * 7919 % 1000000) / 100.0, (i * 7919 % 1000000) / 100.0 * 1.21, 'PRICELIST',
    CASE WHEN i > :high - :high / 20 THEN 'N' ELSE 'Y' END, 0, 0, d::date + 30, 'TRANSFER'
FROM generate_series(:low::bigint, :high::bigint) i
CROSS JOIN LATERAL (SELECT timestamp '2016-01-02' + i * interval '2500 days' / :orders) AS v (d);

--- fin_payment_schedule
INSERT INTO fin_payment_schedule
SELECT upper(md5('sched' || i)), 'A1', upper(md5('org' || i % 5)), 'Y', d, '100', d, '100', d::date + 30,
    upper(md5('order' || i)), upper(md5('inv' || i)), 'TRANSFER', '102', (i * 7919 % 1000000) / 100.0 * 1.21, 0,
    (i * 7919 % 1000000) / 100.0 * 1.21, NULL, 0
FROM generate_series(:low::bigint, :high::bigint) i
CROSS JOIN LATERAL (SELECT timestamp '2016-01-02' + i * interval '2500 days' / :orders) AS v (d);

--- c_file
INSERT INTO c_file
SELECT upper(md5('file' || i)), 'A1', upper(md5('org' || i % 5)), 'Y', d, upper(md5('user' || i % 40)), d,
    upper(md5('user' || i % 40)),
    CASE i % 5 WHEN 0 THEN 'Order ' || 1000000 + i || '.pdf' WHEN 1 THEN 'scan_' || i || '.jpg'
        WHEN 2 THEN 'Größenplan "' || i || '" – März.pdf' WHEN 3 THEN 'list ' || i || '.csv' ELSE '送り状 ' || i || '.txt' END,
    NULL, 10, CASE WHEN i % 3 = 0 THEN 'Received by mail' END, ad_table_id, record, ad_table_id || '/' || record, 'CONF'
FROM generate_series((:low::bigint + 19) / 20, :high::bigint / 20) i
CROSS JOIN LATERAL (SELECT CASE i % 4 WHEN 0 THEN '291' WHEN 1 THEN '318' ELSE '259' END,
    upper(md5(CASE i % 4 WHEN 0 THEN 'partner' || i % :partners WHEN 1 THEN 'inv' || i * 20 ELSE 'order' || i * 20 END)),
    timestamp '2016-01-01' + i * 20 * interval '2500 days' / :orders) AS v (ad_table_id, record, d);

--- ad_session
INSERT INTO ad_session
SELECT upper(md5('session' || i)), '0', '0', 'Y', d, '100', d, '100', upper(md5('web' || i)), '10.1.' || i % 200 || '.' || i % 250,
    'Y', 'N', 'S', 'user' || i % 40, d + interval '20 minutes'
FROM generate_series((:low::bigint + 4) / 5, :high::bigint / 5) i
CROSS JOIN LATERAL (SELECT timestamp '2016-01-01' + i * 5 * interval '2500 days' / :orders) AS v (d);
