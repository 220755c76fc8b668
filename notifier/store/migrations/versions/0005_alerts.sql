-- One alert: what begins and ends, found again by a keyed hash of the fields that identify it. Its labels, the
-- data of its newest event and what its detector remembers are sealed under a key of its own.
CREATE TABLE alert (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    rule text NOT NULL,
    digest bytea NOT NULL,
    status text NOT NULL DEFAULT 'quiet',
    occurrence integer NOT NULL DEFAULT 0,
    severity smallint NOT NULL DEFAULT 0,
    subject text,
    is_source boolean NOT NULL DEFAULT false,
    started_at timestamptz,
    ended_at timestamptz,
    due_at timestamptz,
    data_key bytea,
    sealed bytea,
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, rule, digest)
) WITH (fillfactor = 70);
COMMENT ON COLUMN alert.is_source IS 'it may mute others';
COMMENT ON COLUMN alert.due_at IS 'when time alone may change it';
CREATE INDEX alert_due ON alert (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX alert_open ON alert (tenant, is_source) WHERE status IN ('firing', 'acknowledged');
CREATE INDEX alert_subject ON alert (tenant, subject);

-- What is told together, and when it speaks next.
CREATE TABLE alert_group (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    rule text NOT NULL,
    route text[] NOT NULL,
    digest bytea NOT NULL,
    opened_at timestamptz NOT NULL,
    first_at timestamptz,
    tick_at timestamptz,
    told_at timestamptz,
    number integer NOT NULL DEFAULT 0,
    reminders integer NOT NULL DEFAULT 0,
    due_at timestamptz,
    data_key bytea,
    sealed bytea NOT NULL,
    UNIQUE (tenant, rule, digest)
) WITH (fillfactor = 70);
COMMENT ON COLUMN alert_group.first_at IS 'where the grid of its messages begins';
COMMENT ON COLUMN alert_group.tick_at IS 'when what changed is told';
CREATE INDEX alert_group_due ON alert_group (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE alert_member (
    group_id uuid NOT NULL REFERENCES alert_group (id) ON DELETE CASCADE,
    alert_id uuid NOT NULL,
    tenant text NOT NULL,
    told_firing boolean,
    told_severity smallint,
    muted_by text,
    PRIMARY KEY (group_id, alert_id)
) WITH (fillfactor = 70);
COMMENT ON COLUMN alert_member.told_firing IS 'what people were told last; null = nothing yet';
CREATE INDEX alert_member_alert ON alert_member (alert_id);
CREATE INDEX alert_member_muted ON alert_member (tenant, muted_by) WHERE muted_by IS NOT NULL;

-- Who silenced what until when; every change stays.
CREATE TABLE silence (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    matchers jsonb NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    created_by text NOT NULL,
    comment text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (ends_at >= starts_at)
);
CREATE INDEX silence_ends ON silence (tenant, ends_at);
CREATE TABLE silence_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    silence_id uuid NOT NULL,
    tenant text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    by text NOT NULL,
    what text NOT NULL
);
CREATE INDEX silence_change_silence ON silence_change (silence_id, id);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['alert', 'alert_group', 'alert_member', 'silence', 'silence_change'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY worker_sees_all ON %I TO notifier_worker USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY owner_sees_all ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
        EXECUTE format(
            'CREATE POLICY web_sees_its_tenant ON %I TO notifier_web USING (tenant = current_setting(''notifier.tenant'', true))',
            name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO notifier_worker', name);
        EXECUTE format('GRANT SELECT ON %I TO notifier_web', name);
    END LOOP;
END $$;
