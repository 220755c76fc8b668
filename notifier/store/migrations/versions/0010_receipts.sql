-- What comes back: reports wait here, sealed to a key whose private half only workers have, until one has read them.
CREATE TABLE report (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    key text NOT NULL,
    sealed text NOT NULL,
    raw text,
    state smallint NOT NULL DEFAULT 0,
    tries smallint NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
COMMENT ON COLUMN report.state IS '0 to be read, 1 names no message of ours, 2 could not be processed';
COMMENT ON COLUMN report.raw IS 'the mail or request it was read from, sealed too, where it held this one report only';
CREATE INDEX report_due ON report (due_at, id) WHERE state = 0;
CREATE INDEX report_over ON report (received_at) WHERE state > 0;

-- What was handed in already: kept for 30 days.
CREATE TABLE report_key (
    digest bytea PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX report_key_seen ON report_key (seen_at);

-- The public keys reports may be sealed to; the newest is in use. A worker that holds the private half puts it here.
CREATE TABLE sealing_key (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public text NOT NULL UNIQUE,
    made_at timestamptz NOT NULL DEFAULT now()
);

-- What became of a message after it left, as far as anybody has said.
ALTER TABLE message ADD COLUMN fate text, ADD COLUMN fate_at timestamptz, ADD COLUMN fate_reason text;
ALTER TABLE receipt ADD COLUMN source text, ADD COLUMN bounce text, ADD COLUMN reason text, ADD COLUMN status text,
    ADD COLUMN code smallint, ADD COLUMN received_at timestamptz NOT NULL DEFAULT now();

-- By what the other side calls a message: who reports about it may know no other name.
ALTER TABLE attempt ADD COLUMN remote_id text;
CREATE INDEX attempt_remote ON attempt (remote_id) WHERE remote_id IS NOT NULL;

-- Each cause is an entry of its own: lifting one leaves the others.
ALTER TABLE suppression ADD COLUMN cause text NOT NULL DEFAULT 'manual'
        CHECK (cause IN ('hard_bounce', 'soft_bounces', 'complaint', 'unsubscribe', 'stop', 'manual', 'import')),
    ADD COLUMN message_id uuid, ADD COLUMN note text,
    DROP CONSTRAINT suppression_pkey, ADD PRIMARY KEY (tenant, address_index, scope, cause);
UPDATE suppression SET cause = 'stop' WHERE reason = 'stopped by SMS';
CREATE INDEX suppression_since ON suppression (tenant, since);
CREATE INDEX suppression_until ON suppression (until) WHERE until IS NOT NULL;

-- Bounces that may pass: too many in a row, with no delivery between, suppress an address for a time.
CREATE TABLE soft_bounce (
    tenant text NOT NULL,
    address_index bytea NOT NULL,
    message_id uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant, address_index, message_id)
);
CREATE INDEX soft_bounce_at ON soft_bounce (at);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['report', 'report_key', 'sealing_key', 'soft_bounce'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY worker_sees_all ON %I TO notifier_worker USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY owner_sees_all ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO notifier_worker', name);
    END LOOP;
END $$;
CREATE POLICY web_sees_its_tenant ON soft_bounce TO notifier_web USING (tenant = current_setting('notifier.tenant', true));
GRANT SELECT ON soft_bounce TO notifier_web;

-- Hands reports in, each once: who calls learns how many were new, and can read none.
CREATE FUNCTION notifier_report_in(origin text, keys text[], digests bytea[], contents text[], raws text[])
RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH given AS (
        SELECT DISTINCT ON (digest) * FROM unnest(keys, digests, contents, raws) WITH ORDINALITY
            AS one (key, digest, sealed, raw, place) ORDER BY digest, place
    ), fresh AS (
        -- In one order, so that two who hand in the same wait for one another and never in a ring.
        INSERT INTO report_key (digest) SELECT digest FROM given ORDER BY digest ON CONFLICT DO NOTHING RETURNING digest
    ), kept AS (
        INSERT INTO report (source, key, sealed, raw)
        SELECT origin, given.key, given.sealed, given.raw FROM given JOIN fresh USING (digest) ORDER BY given.place
        RETURNING 1
    )
    SELECT count(*) FROM kept
$$;

-- The key to seal reports to.
CREATE FUNCTION notifier_sealing_key() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT public FROM sealing_key ORDER BY id DESC LIMIT 1
$$;

-- What /metrics needs of reports: how many wait and for how long, and how many name no message of ours.
CREATE FUNCTION notifier_reports() RETURNS TABLE (waiting bigint, unmatched bigint, failed bigint, oldest double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1), count(*) FILTER (WHERE state = 2),
           coalesce(extract(epoch FROM now() - min(received_at) FILTER (WHERE state = 0 AND tries = 0)), 0)::float8
    FROM report
$$;

REVOKE EXECUTE ON FUNCTION notifier_report_in(text, text[], bytea[], text[], text[]), notifier_sealing_key(),
    notifier_reports() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifier_report_in(text, text[], bytea[], text[], text[]), notifier_sealing_key(),
    notifier_reports() TO notifier_web, notifier_worker;
