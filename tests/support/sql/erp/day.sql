-- What a day of business changes beside the new documents, which rows.sql makes: some master rows, the stock, and the
-- newest documents. :low is the first new order.

UPDATE c_order SET docstatus = 'CO', updated = now() WHERE documentno BETWEEN (1000000 + :low - 40)::text AND (1000000 + :low - 1)::text
    AND docstatus = 'DR';
UPDATE fin_payment_schedule SET paidamt = amount, outstandingamt = 0, lastpaymentdate = now(), numberofpayments = 1
    WHERE c_invoice_id IN (SELECT c_invoice_id FROM c_invoice ORDER BY dateinvoiced DESC LIMIT greatest(5, :orders / 200));
UPDATE c_bpartner SET so_creditused = so_creditused + 100 WHERE ('x' || left(c_bpartner_id, 4))::bit(16)::integer % 200 = :low % 200;
UPDATE m_storage_detail SET qtyonhand = qtyonhand - 1, updated = now()
    WHERE ('x' || left(m_storage_detail_id, 4))::bit(16)::integer % 100 = :low % 100;
UPDATE m_productprice SET pricelist = pricelist * 1.02, updated = now()
    WHERE ('x' || left(m_productprice_id, 4))::bit(16)::integer % 500 = :low % 500;
UPDATE ad_sequence SET currentnext = currentnext + 10, updated = now() WHERE name IN ('DocumentNo_1', 'DocumentNo_2');
DELETE FROM ad_session WHERE created < (SELECT min(created) + interval '1 day' FROM ad_session);
