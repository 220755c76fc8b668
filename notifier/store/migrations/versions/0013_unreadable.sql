-- Mails that came back and could not be read within the limits, each once: for whoever mends what reads them.
CREATE TABLE unreadable_mail (
    digest bytea PRIMARY KEY,
    message_id uuid,
    size integer NOT NULL,
    reason text NOT NULL,
    content text NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    seen integer NOT NULL DEFAULT 1
);
COMMENT ON COLUMN unreadable_mail.message_id IS 'the message whose return path it came to';
COMMENT ON COLUMN unreadable_mail.content IS 'its beginning, sealed to the key reports are sealed to';
CREATE INDEX unreadable_mail_last ON unreadable_mail (last_at);

ALTER TABLE unreadable_mail ENABLE ROW LEVEL SECURITY;
ALTER TABLE unreadable_mail FORCE ROW LEVEL SECURITY;
CREATE POLICY worker_sees_all ON unreadable_mail TO notifier_worker USING (true) WITH CHECK (true);
CREATE POLICY owner_sees_all ON unreadable_mail TO CURRENT_USER USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON unreadable_mail TO notifier_worker;

-- Sets one aside; who calls can read none.
CREATE FUNCTION notifier_unreadable_in(name bytea, about uuid, octets integer, why text, sealed text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO unreadable_mail (digest, message_id, size, reason, content) VALUES (name, about, octets, why, sealed)
    ON CONFLICT (digest) DO UPDATE SET last_at = now(), seen = unreadable_mail.seen + 1, reason = excluded.reason
$$;

-- What /metrics needs.
CREATE FUNCTION notifier_unreadable() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*) FROM unreadable_mail
$$;

REVOKE EXECUTE ON FUNCTION notifier_unreadable_in(bytea, uuid, integer, text, text), notifier_unreadable() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifier_unreadable_in(bytea, uuid, integer, text, text), notifier_unreadable()
    TO notifier_web, notifier_worker;
