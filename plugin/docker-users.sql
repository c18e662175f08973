-- Runs once, when the database is new.

-- Reads the slot and nothing else: it cannot read or write a table.
CREATE ROLE pgevents LOGIN REPLICATION PASSWORD 'pgevents';

CREATE TABLE users (
    id integer PRIMARY KEY,
    full_name text
);

-- Updates and deletes carry the whole old row.
ALTER TABLE users REPLICA IDENTITY FULL;
