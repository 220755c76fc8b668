-- Asked for each message that goes out, with its tenant; and, without, for each person who is erased.
CREATE INDEX contact_person ON contact (person_id, tenant);
-- Counted for each look at /metrics.
CREATE INDEX dead_letter_waiting ON dead_letter (kind) WHERE retried_at IS NULL AND data_key IS NOT NULL;

-- Messages of a paused tenant rest in a state of their own: a claim goes by age, and there may be very many.
COMMENT ON COLUMN work.state IS
    '0 ready, 1 taken by a worker until lease_until, 2 at rest with its tenant, 3 held for a person';
CREATE INDEX work_paused ON work (tenant, message_id) WHERE state = 2;
DROP INDEX work_expiry;
CREATE INDEX work_expiry ON work (expires_at) WHERE state IN (0, 2);
UPDATE work SET state = 2 FROM tenant WHERE tenant.id = work.tenant AND paused_at IS NOT NULL AND state = 0;

-- What rests with its tenant waits, and is not late.
CREATE OR REPLACE FUNCTION notifier_backlog()
RETURNS TABLE (channel text, lane text, waiting bigint, held bigint, oldest double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT work.channel, work.lane, count(*) FILTER (WHERE state < 3), count(*) FILTER (WHERE state = 3),
           coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE state < 2 AND due_at <= now())), 0)::float8
    FROM work GROUP BY work.channel, work.lane ORDER BY work.channel, work.lane
$$;

-- Makes what is missing of this month's and the next ones' partitions, each on its own: one that cannot be made
-- now does not keep the others away. Returns what could not be made, and why.
DROP FUNCTION notifier_make_partitions(integer);
CREATE FUNCTION notifier_make_partitions(months integer) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
-- Whoever waits for a strong lock holds up all who come after it.
SET lock_timeout = '3s' AS $$
DECLARE
    log text;
    month timestamp;
    child text;
    low uuid;
    high uuid;
    missing text[] := '{}';
BEGIN
    FOREACH log IN ARRAY ARRAY['event', 'decision', 'notification', 'message', 'body', 'attempt', 'receipt'] LOOP
        FOR step IN 0..months LOOP
            month := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => step);
            child := log || to_char(month, '_YYYY_MM');
            CONTINUE WHEN to_regclass(child) IS NOT NULL;
            low := notifier_uuid7_floor(month AT TIME ZONE 'UTC');
            high := notifier_uuid7_floor((month + interval '1 month') AT TIME ZONE 'UTC');
            BEGIN
                -- Room in each page, so that a message's few changes stay in it; and sealed bytes, which do
                -- not compress, stay in their row up to a page instead of going to a side table.
                EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) '
                               'WITH (fillfactor = 80, toast_tuple_target = 8160)', child, log);
                -- A clock that was ahead has left rows of the month in the default partition, and the month's
                -- own could not be attached beside them.
                EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', log || '_default');
                EXECUTE format('WITH stray AS (DELETE FROM %1$I WHERE %2$I >= %3$L AND %2$I < %4$L RETURNING *) '
                               'INSERT INTO %5$I SELECT * FROM stray', log || '_default',
                               CASE log WHEN 'decision' THEN 'event_id' WHEN 'body' THEN 'message_id' ELSE 'id' END,
                               low, high, child);
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                               log, child, low, high);
                -- The worker's hottest statement names the partition (notifier.store.partitions).
                EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO notifier_worker', child);
            EXCEPTION WHEN OTHERS THEN
                IF to_regclass(child) IS NULL THEN -- else another sweep was faster
                    missing := missing || format('%s: %s', child, SQLERRM);
                END IF;
            END;
        END LOOP;
    END LOOP;
    RETURN missing;
END $$;
REVOKE EXECUTE ON FUNCTION notifier_make_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifier_make_partitions(integer) TO notifier_worker;
