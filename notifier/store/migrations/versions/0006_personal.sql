-- Quiet hours, digests, consent: JSON, sealed under the person's key.
ALTER TABLE contact ADD COLUMN wishes bytea;
-- Asked for each batch of notifications; where nobody has set anything, of an empty index.
CREATE INDEX contact_wishes ON contact (person_id) WHERE wishes IS NOT NULL;

-- What the rule says: told at once whatever the person set, or held although urgent.
ALTER TABLE notification ADD COLUMN ignore_quiet boolean;

-- When a person was told on a channel, where a budget or a digest of theirs counts it.
CREATE TABLE told (
    tenant text NOT NULL,
    person_id uuid NOT NULL,
    channel text NOT NULL,
    category text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX told_person ON told (tenant, person_id, channel, at DESC);

-- Messages that wait for the end of quiet hours, for room, or for a digest. A message here has no row in work.
CREATE TABLE held (
    message_id uuid PRIMARY KEY,
    notification_id uuid NOT NULL,
    tenant text NOT NULL,
    person_id uuid NOT NULL,
    digest_key text NOT NULL,
    arrived_at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    reason text NOT NULL
) WITH (fillfactor = 80);
COMMENT ON COLUMN held.digest_key IS 'what has the same one is told together';
CREATE INDEX held_until ON held (until);
CREATE INDEX held_person ON held (tenant, person_id, digest_key, arrived_at);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['told', 'held'] LOOP
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
