-- Roles of a Tocsin database, for whoever may make roles: `tocsin clickhouse-users`. Not a migration, because roles
-- belong to the server, and because a worker with no more rights than it needs may not make any. Grants are for the
-- database, so tables of later versions are covered. Each statement may run again.

-- writer: a worker. It fills the tables and brings tables and views up to date; it removes no table and no row.
CREATE ROLE IF NOT EXISTS {database}_writer;
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP VIEW ON {database}.* TO {database}_writer;
GRANT ALTER ADD COLUMN, ALTER MODIFY COLUMN, ALTER COMMENT COLUMN, ALTER TTL ON {database}.* TO {database}_writer;
GRANT SELECT, INSERT ON {database}.* TO {database}_writer;

-- reader: commands, the console, Grafana. It asks, and changes nothing; readonly 2 leaves it the settings of a query.
CREATE ROLE IF NOT EXISTS {database}_reader SETTINGS readonly = 2;
GRANT SELECT ON {database}.* TO {database}_reader;
