-- One message at a time tries a relay that failed, whoever sends it: until then, at the longest.
ALTER TABLE relay_pause ADD COLUMN tried_until timestamptz;
COMMENT ON COLUMN relay_pause.tried_until IS 'a message tries the relay until then at the longest; all others wait';

-- Since when a flow takes nothing at all: what waits for a relay may then go another way.
ALTER TABLE throttle ADD COLUMN since timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN throttle.since IS 'the first refusal since the last message that was taken';
