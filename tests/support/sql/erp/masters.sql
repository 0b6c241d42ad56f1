-- What is there before the first order: dictionary and master data, sized by :partners and :products.

INSERT INTO ad_system_info VALUES ('0', '0', '0', 'Y', '2019-01-01', '0', '2024-11-01', '0', 'A81D0C36-5A5F-4E8B', '3.0.244900',
    'Y', '2024-11-01 10:00', '2024-11-01 10:05', NULL, 'RB70', 'P', 'support@example.com');
INSERT INTO ad_module VALUES
    ('0', '0', '0', 'Y', '2019-01-01', '0', '2024-11-01', '0', 'Core', '3.0.244900', 'Core', NULL, 'M', NULL, 'N',
     'org.openbravo', 'Openbravo', 'A', 'en_US', 'N');
INSERT INTO ad_module
SELECT upper(md5('module' || i)), '0', '0', 'Y', '2019-01-01', '0', '2024-11-01', '0', 'Module ' || i, '1.' || i || '.0',
    'Adds what module ' || i || ' adds', NULL, 'M', 'Openbravo Public License', 'N', 'com.example.module' || i, 'Example', 'A',
    'en_US', 'N'
FROM generate_series(1, 30) i;
INSERT INTO ad_client VALUES
    ('0', '0', 'Y', '2019-01-01', '0', '2019-01-01', '0', 'System', 'System', NULL, 'en_US'),
    ('A1', '0', 'Y', '2019-01-01', '0', '2019-01-01', '0', 'MapleOil', 'Maple & Oil Group', 'Ölmühle', 'es_ES');
INSERT INTO ad_org
SELECT CASE WHEN i = -1 THEN '0' ELSE upper(md5('org' || i)) END, CASE WHEN i = -1 THEN '0' ELSE 'A1' END, 'Y', '2019-01-01', '0',
    '2019-01-01', '0', 'Org' || i, (ARRAY['*', 'España', 'France', 'Österreich', 'Danmark', 'Česko'])[i + 2], 'N', NULL
FROM generate_series(-1, 4) i;
INSERT INTO ad_user
SELECT CASE i WHEN -2 THEN '0' WHEN -1 THEN '100' ELSE upper(md5('user' || i)) END, '0', '0', 'Y', '2019-01-01', '0', '2024-11-01',
    '0', 'User ' || i, 'user' || i, encode(sha512(i::text::bytea), 'base64'), 'user' || i || '@example.com', NULL, 'N', NULL
FROM generate_series(-2, 39) i;
INSERT INTO ad_role SELECT i::text, '0', '0', 'Y', '2019-01-01', '0', '2019-01-01', '0', 'Role ' || i, 'S', 'N'
FROM generate_series(0, 9) i;
INSERT INTO ad_table
SELECT t.id, '0', '0', 'Y', '2019-01-01', '0', '2019-01-01', '0', initcap(t.name), t.name, 'class.of.' || t.name, '3', 'N', NULL
FROM (VALUES ('259', 'C_Order'), ('260', 'C_OrderLine'), ('318', 'C_Invoice'), ('333', 'C_InvoiceLine'), ('319', 'M_InOut'),
    ('291', 'C_BPartner'), ('208', 'M_Product'), ('270', 'Fact_Acct'), ('329', 'M_Transaction')) AS t (id, name);
INSERT INTO ad_table
SELECT upper(md5('table' || i)), '0', '0', 'Y', '2019-01-01', '0', '2019-01-01', '0', 'Table ' || i, 'OBX_Table_' || i,
    'com.example.Table' || i, '4', 'N', 'What table ' || i || ' is for is said in the handbook.'
FROM generate_series(1, 400) i;
INSERT INTO ad_column
SELECT upper(md5('column' || i)), '0', '0', 'Y', '2019-01-01', '0', '2019-01-01', '0', 'Column ' || i, 'Column_' || i % 15,
    'Says what is in column ' || i, 'A longer text that tells a user of column ' || i || ' what it is for, what it defaults to, and '
        || 'which other columns it depends on. ' || md5(i::text), upper(md5('table' || 1 + i / 15)), (10 + i % 20)::text, 32,
    CASE WHEN i % 7 = 0 THEN '@#Date@' END, 'N', 'N', 'Y', i % 15 * 10, i % 15
FROM generate_series(0, 5999) i;
INSERT INTO ad_message
SELECT upper(md5('message' || i)), '0', '0', 'Y', '2019-01-01', '0', '2019-01-01', '0', 'OBX_Message' || i,
    'The document %0 cannot be processed: line %1 has no product ' || i, 'E', '0'
FROM generate_series(1, 2000) i;
INSERT INTO ad_sequence
SELECT upper(md5('sequence' || i)), 'A1', '0', 'Y', '2019-01-01', '0', '2024-11-01', '0', 'DocumentNo_' || i, 'Y', 1, 1000000, NULL
FROM generate_series(1, 100) i;
INSERT INTO ad_image
SELECT upper(md5('image' || i)), 'A1', '0', 'Y', '2019-01-01', '0', '2019-01-01', '0', 'image' || i || '.jpg', 'image/jpeg', 640, 480,
    (SELECT string_agg(sha512(int8send(i * 1000 + n)), '' ORDER BY n) FROM generate_series(1, 100 + i * 37 % 700) n)
FROM generate_series(1, greatest(20, :products / 12 + 1)) i;

INSERT INTO c_country
SELECT (100 + i)::text, '0', '0', 'Y', '2019-01-01', '0', '2019-01-01', '0', 'Country ' || i,
    chr(65 + i / 26) || chr(65 + i % 26), '+' || i
FROM generate_series(0, 240) i;
INSERT INTO c_location
SELECT upper(md5('location' || i)), 'A1', '0', 'Y', '2019-01-01', '100', '2024-11-01', '100',
    (ARRAY['Calle Mayor', 'Rue de l''Église', 'Gärtnerstraße', 'High Street', 'Strandvejen'])[1 + i % 5] || ' ' || 1 + i % 200,
    CASE WHEN i % 4 = 0 THEN i % 9 || 'º B' END,
    (ARRAY['Pamplona', 'Lyon', 'Graz', 'Århus', 'Málaga', 'Łódź', 'Bern'])[1 + i % 7], lpad((i * 37 % 99999)::text, 5, '0'),
    (100 + i % 241)::text
FROM generate_series(0, :partners - 1) i;
INSERT INTO c_bp_group
SELECT upper(md5('bpgroup' || i)), 'A1', '0', 'Y', '2019-01-01', '100', '2019-01-01', '100', 'G' || i, 'Group ' || i
FROM generate_series(0, 9) i;
INSERT INTO c_bpartner
SELECT upper(md5('partner' || i)), 'A1', '0', 'Y', '2019-01-01', '100', '2024-11-01', '100', 'BP' || lpad(i::text, 7, '0'),
    (ARRAY['Viñedos', 'Almacenes', 'Hoteles', 'Talleres', 'Café', 'Nordisk', 'Müller'])[1 + i % 7] || ' '
        || (ARRAY['del Norte', '& Söhne', 'Europa', 'y Cía', 'Unidos', 'Central', 'of the Lake'])[1 + i / 7 % 7] || ' ' || i,
    NULL, CASE WHEN i % 5 = 0 THEN 'Pays late; ask for the manager. Visits on day ' || i % 28 END,
    upper(md5('bpgroup' || i % 10)), CASE WHEN i % 6 = 0 THEN 'Y' ELSE 'N' END, 'Y', 'N',
    chr(65 + i % 20) || lpad((i * 7919 % 99999999)::text, 8, '0'), 'http://www.partner' || i || '.example', 'es_ES',
    timestamp '2016-01-01' + i * interval '1 hour', 10000 + i % 50 * 1000, 0, 'TERM', 'PRICELIST', 'I', 'A', 'D', 'O', 'N',
    'TRANSFER', 'N', 'N'
FROM generate_series(0, :partners - 1) i;
INSERT INTO c_bpartner_location
SELECT upper(md5('partnerloc' || i)), 'A1', '0', 'Y', '2019-01-01', '100', '2024-11-01', '100', 'Main', 'Y', 'Y',
    '+34 948 ' || lpad((i * 997 % 999999)::text, 6, '0'), NULL, upper(md5('partner' || i)), upper(md5('location' || i)), NULL
FROM generate_series(0, :partners - 1) i;
INSERT INTO m_product_category
SELECT upper(md5('category' || i)), 'A1', '0', 'Y', '2019-01-01', '100', '2019-01-01', '100', 'C' || i, 'Category ' || i, i
FROM generate_series(0, 39) i;
INSERT INTO m_product
SELECT upper(md5('product' || i)), 'A1', '0', 'Y', '2019-01-01', '100', '2024-11-01', '100', 'P' || lpad(i::text, 6, '0'),
    (ARRAY['Olive oil', 'Red wine', 'Bearing', 'Screw M8', 'Desk lamp', 'Cotton shirt'])[1 + i % 6] || ' ' || i,
    'Our best, in a box of ' || 1 + i % 24, repeat('Keep dry and cool. ', i % 6), lpad((i * 99991)::text, 13, '8'), NULL, '100', 'Y',
    'Y', 'Y', upper(md5('category' || i % 40)), 0.01 * (i % 90), 0.1 * (i % 300), 'TAXCATEGORY', 'N', 'I', NULL,
    CASE WHEN i % 12 = 1 THEN upper(md5('image' || 1 + i / 12)) END, i % 20, 'Colour: ' || i % 9 || ', Size: ' || i % 7
FROM generate_series(0, :products - 1) i;
INSERT INTO m_productprice
SELECT upper(md5('price' || i || '-' || l)), 'A1', '0', 'Y', '2019-01-01', '100', '2024-11-01', '100', upper(md5('plv' || l)),
    upper(md5('product' || i)), i * 37 % 20000 / 100.0 + l, i * 37 % 20000 / 100.0 + l, i * 37 % 20000 / 110.0
FROM generate_series(0, :products - 1) i, generate_series(1, 3) l;
INSERT INTO m_storage_detail
SELECT upper(md5('storage' || i || '-' || l)), 'A1', '0', 'Y', '2019-01-01', '100', '2024-11-01', '100',
    upper(md5('product' || i)), upper(md5('locator' || l)), '0', '100', i * 7 % 500, 0, '2024-11-01'
FROM generate_series(0, :products - 1) i, generate_series(1, 4) l;
INSERT INTO c_elementvalue
SELECT upper(md5('account' || i)), 'A1', '0', 'Y', '2019-01-01', '100', '2019-01-01', '100', lpad((i * 1000)::text, 8, '4300'),
    'Account ' || i, 'A', 'N'
FROM generate_series(0, 299) i;
INSERT INTO c_period
SELECT upper(md5('period' || to_char(m, 'YYYYMM'))), 'A1', '0', 'Y', '2019-01-01', '100', '2019-01-01', '100',
    to_char(m, 'Mon-YY'), extract(month FROM m), m, m + interval '1 month'
FROM generate_series(timestamp '2015-01-01', '2026-12-01', '1 month') m;
INSERT INTO c_attachment_method VALUES ('METHOD', '0', '0', 'Y', '2019-01-01', '0', '2019-01-01', '0', '0', 'Default', 'Default');
INSERT INTO c_attachment_conf VALUES ('CONF', '0', '0', 'Y', '2019-01-01', '0', '2019-01-01', '0', 'METHOD');
