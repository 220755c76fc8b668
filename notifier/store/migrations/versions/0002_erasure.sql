-- Erasing and exporting begin with what a person was told; later partitions get the index by themselves.
CREATE INDEX notification_person ON notification (person_id, event_id);

-- A letter whose content was erased cannot be retried: nobody needs to be told that it waits.
CREATE OR REPLACE FUNCTION notifier_dead_letters() RETURNS TABLE (kind text, waiting bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT dead_letter.kind, count(*) FROM dead_letter WHERE retried_at IS NULL AND data_key IS NOT NULL
    GROUP BY dead_letter.kind ORDER BY dead_letter.kind
$$;
