-- Who we work for.
CREATE TABLE tenant (
    id text PRIMARY KEY,
    name text NOT NULL,
    paused_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenant (id, name) VALUES ('default', 'Default');

-- Keys: a master key outside wraps these few; these wrap one data key per person and per event.
CREATE TABLE keyring (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose text NOT NULL CHECK (purpose IN ('data', 'index', 'token', 'intake')),
    master text NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A person is an address within a tenant; destroying data_key erases what is sealed under it.
CREATE TABLE person (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    address_index bytea NOT NULL,
    data_key bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz,
    UNIQUE (tenant, address_index)
);

-- The address book: sealed under the person's key.
CREATE TABLE contact (
    tenant text NOT NULL,
    reference text NOT NULL,
    person_id uuid NOT NULL,
    email_index bytea,
    phone_index bytea,
    sealed bytea NOT NULL,
    locale text,
    zone text,
    channels text[] NOT NULL DEFAULT '{}',
    opt_outs text[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, reference)
);
CREATE INDEX contact_email ON contact (tenant, email_index);
CREATE INDEX contact_phone ON contact (tenant, phone_index);

-- What must not be sent; by keyed hash, so that it survives erasure.
CREATE TABLE suppression (
    tenant text NOT NULL,
    address_index bytea NOT NULL,
    scope text NOT NULL DEFAULT '*',
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    until timestamptz,
    PRIMARY KEY (tenant, address_index, scope)
);

-- Log tables: range-partitioned by id, and a UUIDv7's order is time order.
CREATE TABLE event (
    id uuid NOT NULL,
    tenant text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    lane text NOT NULL,
    data_key bytea,
    sealed bytea NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX event_subject ON event (tenant, subject, id);

CREATE TABLE decision (
    event_id uuid NOT NULL,
    tenant text NOT NULL,
    rules_hash text NOT NULL,
    notified integer NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (event_id)
) PARTITION BY RANGE (event_id);

CREATE TABLE notification (
    id uuid NOT NULL,
    tenant text NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    category text NOT NULL,
    subject text NOT NULL,
    rule text NOT NULL,
    reason text NOT NULL,
    urgency text NOT NULL,
    template text NOT NULL,
    person_id uuid NOT NULL,
    sealed bytea NOT NULL,
    plan jsonb NOT NULL,
    stage_rule text,
    stage text,
    stage_order integer,
    deadline timestamptz,
    state text NOT NULL DEFAULT 'pending',
    state_reason text,
    created_at timestamptz NOT NULL,
    settled_at timestamptz,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX notification_event ON notification (event_id);

CREATE TABLE message (
    id uuid NOT NULL,
    tenant text NOT NULL,
    notification_id uuid NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    channel text NOT NULL,
    lane text NOT NULL,
    person_id uuid NOT NULL,
    address_index bytea NOT NULL,
    position smallint NOT NULL,
    resend_of uuid,
    status text NOT NULL DEFAULT 'queued',
    reason text,
    attempts smallint NOT NULL DEFAULT 0,
    relay text,
    template_version text,
    created_at timestamptz NOT NULL,
    settled_at timestamptz,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX message_notification ON message (notification_id);
CREATE INDEX message_address ON message (tenant, address_index, id);
CREATE INDEX message_subject ON message (tenant, subject, id);

CREATE TABLE body (
    message_id uuid NOT NULL,
    tenant text NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (message_id)
) PARTITION BY RANGE (message_id);

CREATE TABLE attempt (
    id uuid NOT NULL,
    message_id uuid NOT NULL,
    tenant text NOT NULL,
    number smallint NOT NULL,
    relay text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    outcome text NOT NULL,
    reason text,
    phase text,
    code smallint,
    enhanced text,
    sealed bytea,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX attempt_message ON attempt (message_id);

CREATE TABLE receipt (
    id uuid NOT NULL,
    message_id uuid NOT NULL,
    tenant text NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    sealed bytea,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX receipt_message ON receipt (message_id);

ALTER TABLE event ALTER sealed SET STORAGE EXTERNAL;
ALTER TABLE decision ALTER sealed SET STORAGE EXTERNAL;
ALTER TABLE body ALTER sealed SET STORAGE EXTERNAL;

-- Key tables: what must be unique across partitions. Horizon: as long as the log is kept, at least 90 days.
CREATE TABLE event_key (
    tenant text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (tenant, source, external_id)
);
CREATE TABLE notification_key (
    digest bytea PRIMARY KEY,
    notification_id uuid NOT NULL
);

-- Messages still to be sent. Small, unpartitioned, deleted when terminal.
-- Marking a row as sending changes no indexed column, so that it stays a cheap in-page update.
CREATE TABLE work (
    message_id uuid PRIMARY KEY,
    tenant text NOT NULL,
    channel text NOT NULL,
    lane text NOT NULL,
    relay text NOT NULL,
    state smallint NOT NULL DEFAULT 0,
    token uuid,
    is_sending boolean NOT NULL DEFAULT false,
    lease_until timestamptz,
    attempt smallint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
COMMENT ON COLUMN work.state IS '0 ready, 1 taken by a worker until lease_until, 3 held for a person';
COMMENT ON COLUMN work.attempt IS 'tries that counted against the budget; a rate limit does not';
COMMENT ON COLUMN work.expires_at IS 'when this channel has had its time, and the next one its turn';
CREATE INDEX work_due ON work (relay, channel, lane, due_at) WHERE state = 0;
CREATE INDEX work_expiry ON work (expires_at) WHERE state = 0;
CREATE INDEX work_taken ON work (message_id) WHERE state = 1;

-- Relays that must rest: unreachable, or refusing us as a sender. Their messages wait without being blamed.
CREATE TABLE relay_pause (
    relay text PRIMARY KEY,
    until timestamptz NOT NULL,
    failures integer NOT NULL DEFAULT 1,
    reason text NOT NULL
);

-- Where a subject stands.
CREATE TABLE journey (
    tenant text NOT NULL,
    rule text NOT NULL,
    subject text NOT NULL,
    stage text,
    stage_order integer NOT NULL DEFAULT -1,
    is_terminal boolean NOT NULL DEFAULT false,
    history jsonb NOT NULL DEFAULT '[]',
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, rule, subject)
);

-- Something due: it becomes an event.
CREATE TABLE timer (
    tenant text NOT NULL,
    key text NOT NULL,
    due_at timestamptz NOT NULL,
    event_type text NOT NULL,
    subject text NOT NULL,
    data_key bytea,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX timer_due ON timer (due_at);

-- The portal's inbox.
CREATE TABLE inbox (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    person_id uuid NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    read_at timestamptz
);
CREATE INDEX inbox_person ON inbox (tenant, person_id, id);

-- What could not be processed: refused (the producer's mistake) or poison (ours).
CREATE TABLE dead_letter (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('refused', 'poison')),
    tenant text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    type text,
    field text,
    error text NOT NULL,
    lane text NOT NULL,
    data_key bytea,
    sealed bytea NOT NULL,
    seen integer NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    retried_at timestamptz,
    UNIQUE (tenant, source, external_id)
);

-- One line each for what runs on its own, so that doctor and readiness can see it.
CREATE TABLE heartbeat (
    name text PRIMARY KEY,
    at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Partitions: one a month, made ahead by the sweep; the default one catches a clock gone wrong.
CREATE FUNCTION notifier_uuid7_floor(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid
$$;

CREATE FUNCTION notifier_make_partitions(months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    log text;
    month timestamp;
    child text;
    made integer := 0;
BEGIN
    FOREACH log IN ARRAY ARRAY['event', 'decision', 'notification', 'message', 'body', 'attempt', 'receipt'] LOOP
        FOR step IN 0..months LOOP
            month := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => step);
            child := log || to_char(month, '_YYYY_MM');
            IF to_regclass(child) IS NULL THEN
                -- Room in each page, so that a message's few changes stay in it; and sealed bytes, which do
                -- not compress, stay in their row up to a page instead of going to a side table.
                EXECUTE format(
                    'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L) '
                    'WITH (fillfactor = 80, toast_tuple_target = 8160)', child, log,
                    notifier_uuid7_floor(month AT TIME ZONE 'UTC'),
                    notifier_uuid7_floor((month + interval '1 month') AT TIME ZONE 'UTC'));
                -- The worker's hottest statement names the partition (notifier.store.partitions).
                EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO notifier_worker', child);
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

DO $$
DECLARE log text;
BEGIN
    FOREACH log IN ARRAY ARRAY['event', 'decision', 'notification', 'message', 'body', 'attempt', 'receipt'] LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', log || '_default', log);
    END LOOP;
    PERFORM notifier_make_partitions(1);
END $$;

-- Least privilege: the worker reads and writes rows of all tenants, the web those of one.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenant', 'person', 'contact', 'suppression', 'event', 'decision', 'notification',
        'message', 'body', 'attempt', 'receipt', 'journey', 'timer', 'inbox', 'dead_letter', 'work', 'event_key'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY worker_sees_all ON %I TO notifier_worker USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY owner_sees_all ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
        EXECUTE format(
            'CREATE POLICY web_sees_its_tenant ON %I TO notifier_web USING (%I = current_setting(''notifier.tenant'', true))',
            name, CASE name WHEN 'tenant' THEN 'id' ELSE 'tenant' END);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA public TO notifier_worker, notifier_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO notifier_worker;
GRANT EXECUTE ON FUNCTION notifier_make_partitions(integer) TO notifier_worker;
REVOKE EXECUTE ON FUNCTION notifier_make_partitions(integer) FROM PUBLIC;
GRANT SELECT ON tenant, person, contact, suppression, event, decision, notification, message, body, attempt,
    receipt, journey, inbox, dead_letter, work, heartbeat, keyring TO notifier_web;
GRANT UPDATE (read_at) ON inbox TO notifier_web;
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM notifier_worker;

-- What /metrics and /readyz need beyond one tenant: numbers over all of them, and no row of any.
CREATE FUNCTION notifier_backlog()
RETURNS TABLE (channel text, lane text, waiting bigint, held bigint, oldest double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT work.channel, work.lane, count(*) FILTER (WHERE state < 3), count(*) FILTER (WHERE state = 3),
           coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE state < 3 AND due_at <= now())), 0)::float8
    FROM work GROUP BY work.channel, work.lane ORDER BY work.channel, work.lane
$$;
CREATE FUNCTION notifier_dead_letters() RETURNS TABLE (kind text, waiting bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT dead_letter.kind, count(*) FROM dead_letter WHERE retried_at IS NULL
    GROUP BY dead_letter.kind ORDER BY dead_letter.kind
$$;
REVOKE EXECUTE ON FUNCTION notifier_backlog(), notifier_dead_letters() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifier_backlog(), notifier_dead_letters() TO notifier_worker, notifier_web;
GRANT SELECT ON alembic_version TO notifier_web;
