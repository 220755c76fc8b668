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
