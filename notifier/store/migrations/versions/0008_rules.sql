-- The rules that were adopted last, as texts: a worker that starts with wrong files runs these. One row, so that who
-- is taken out of the rules is out of the database too. Rotations name people: the texts are sealed.
CREATE TABLE rule_set (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    hash text NOT NULL,
    data_key bytea NOT NULL,
    sealed bytea NOT NULL,
    adopted_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN rule_set.sealed IS 'path below config/rules -> text';

-- What each running worker says of its rules, anew every few seconds; one that is silent has ended.
CREATE TABLE rule_worker (
    process text PRIMARY KEY,
    hash text NOT NULL,
    refused_at timestamptz,
    places jsonb NOT NULL DEFAULT '[]',
    seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON COLUMN rule_worker.refused_at IS 'since when it runs other rules than its files hold, which are wrong';
COMMENT ON COLUMN rule_worker.places IS 'where they are wrong: file and line, nothing that stands there';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['rule_set', 'rule_worker'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY worker_sees_all ON %I TO notifier_worker USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY owner_sees_all ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO notifier_worker', name);
    END LOOP;
END $$;

-- What /metrics needs of them: hashes, numbers and a time. One row per hash that is run; one without where none is.
CREATE FUNCTION notifier_rules() RETURNS TABLE (adopted_at timestamptz, hash text, refused bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT rule_set.adopted_at, run.hash, run.refused FROM rule_set LEFT JOIN (
        SELECT rule_worker.hash, count(refused_at) AS refused FROM rule_worker
        WHERE seen_at > now() - interval '30 seconds' GROUP BY rule_worker.hash
    ) AS run ON true ORDER BY run.hash
$$;
REVOKE EXECUTE ON FUNCTION notifier_rules() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifier_rules() TO notifier_worker, notifier_web;
