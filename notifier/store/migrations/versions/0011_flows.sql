-- Where a message goes: the group of its mailbox provider, and, by a keyed hash, its domain, should that get a group
-- of its own because it limits us.
ALTER TABLE work ADD COLUMN destination text NOT NULL DEFAULT 'other', ADD COLUMN domain bytea;
COMMENT ON COLUMN work.destination IS 'gmail, microsoft, …, other; d:… for a domain that limits us';
COMMENT ON COLUMN work.domain IS '8 bytes of a keyed hash of the recipient''s domain; null where its group says enough';

-- What is due, by destination: one probe tells whether a destination has something due.
DROP INDEX work_due;
CREATE INDEX work_due ON work (relay, channel, lane, destination, due_at) WHERE state = 0;
-- Who has something due: one probe for each tenant and destination, however much it has waiting.
CREATE INDEX work_fair ON work (relay, channel, lane, destination, tenant, due_at) WHERE state = 0;

-- Since when a relay fails, and whether a person said so.
ALTER TABLE relay_pause
    ADD COLUMN since timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN by_operator boolean NOT NULL DEFAULT false;

-- Flows that were told to slow down, and the rate they may have since; destination * is the whole relay.
CREATE TABLE throttle (
    relay text NOT NULL,
    destination text NOT NULL,
    rate double precision NOT NULL,
    step double precision NOT NULL,
    until timestamptz NOT NULL,
    refusals integer NOT NULL DEFAULT 1,
    refused_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL,
    PRIMARY KEY (relay, destination)
);
COMMENT ON COLUMN throttle.rate IS 'messages a second, learned: less after each refusal, more while it is used up';
COMMENT ON COLUMN throttle.step IS 'by how much the rate grows each second, until the next refusal';
COMMENT ON COLUMN throttle.until IS 'the flow rests until then';
COMMENT ON COLUMN throttle.refusals IS 'rounds of refusals since the last message that was taken';

ALTER TABLE throttle ENABLE ROW LEVEL SECURITY;
ALTER TABLE throttle FORCE ROW LEVEL SECURITY;
CREATE POLICY worker_sees_all ON throttle TO notifier_worker USING (true) WITH CHECK (true);
CREATE POLICY owner_sees_all ON throttle TO CURRENT_USER USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON throttle TO notifier_worker;

-- What /metrics shows of them; domains of their own are told together, or there would be a label for each.
CREATE FUNCTION notifier_throttles()
RETURNS TABLE (relay text, destination text, rate double precision, resting double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT throttle.relay, CASE WHEN throttle.destination LIKE 'd:%' THEN 'own' ELSE throttle.destination END,
           sum(throttle.rate), greatest(0, extract(epoch FROM max(throttle.until) - now()))::float8
    FROM throttle GROUP BY 1, 2 ORDER BY 1, 2
$$;
REVOKE EXECUTE ON FUNCTION notifier_throttles() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifier_throttles() TO notifier_worker, notifier_web;
