-- What people write about incidents, and what is told of them: newest version of each.

CREATE OR REPLACE VIEW action_items AS
SELECT *
FROM action_item_versions FINAL
WHERE (id, version) IN (SELECT id, max(version) FROM action_item_versions GROUP BY id);

CREATE OR REPLACE VIEW reviews AS
SELECT *
FROM review_versions FINAL
WHERE (incident, version) IN (SELECT incident, max(version) FROM review_versions GROUP BY incident);

CREATE OR REPLACE VIEW status_updates AS
SELECT *
FROM status_update_versions FINAL
WHERE (id, version) IN (SELECT id, max(version) FROM status_update_versions GROUP BY id);
