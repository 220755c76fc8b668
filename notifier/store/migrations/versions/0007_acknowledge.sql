-- A link by which one recipient of one message takes charge of what that message told. Only the hash of its token
-- is here: whoever reads the table has no link.
CREATE TABLE ack_link (
    digest bytea PRIMARY KEY,
    tenant text NOT NULL,
    message_id uuid NOT NULL,
    group_id uuid NOT NULL,
    told_until timestamptz NOT NULL,
    rule text NOT NULL,
    subject text NOT NULL,
    locale text NOT NULL,
    expires_at timestamptz NOT NULL,
    asked_at timestamptz,
    done_at timestamptz,
    outcome text
);
COMMENT ON COLUMN ack_link.told_until IS 'what began later is not what the message told';
COMMENT ON COLUMN ack_link.asked_at IS 'somebody pressed the button; the sweep carries it out';
CREATE INDEX ack_link_asked ON ack_link (asked_at) WHERE asked_at IS NOT NULL AND done_at IS NULL;
CREATE INDEX ack_link_expires ON ack_link (expires_at);

-- What a person answers to an SMS to say the same: a short code, one per phone and group while it lives.
CREATE TABLE reply_code (
    phone_index bytea NOT NULL,
    code text NOT NULL,
    tenant text NOT NULL,
    group_id uuid NOT NULL,
    link bytea NOT NULL REFERENCES ack_link (digest) ON DELETE CASCADE,
    made_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (phone_index, code),
    UNIQUE (phone_index, group_id)
);
CREATE INDEX reply_code_link ON reply_code (link);

-- An SMS that came in, once per id of the gateway. Number and words are sealed, and gone once it was read.
CREATE TABLE sms_in (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    remote_id text NOT NULL UNIQUE,
    received_at timestamptz NOT NULL DEFAULT now(),
    sealed bytea,
    done_at timestamptz,
    kind text,
    outcome text,
    tenant text,
    group_id uuid,
    reply text
);
CREATE INDEX sms_in_waiting ON sms_in (received_at) WHERE done_at IS NULL;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ack_link', 'reply_code', 'sms_in'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY worker_sees_all ON %I TO notifier_worker USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY owner_sees_all ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO notifier_worker', name);
    END LOOP;
END $$;

-- The web process has no right to any of these tables. Whoever holds a link may see what it is about, and ask.
CREATE FUNCTION notifier_ack_look(wanted bytea)
RETURNS TABLE (
    rule text, subject text, locale text, is_expired boolean, is_asked boolean, outcome text, firing bigint,
    taken bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT link.rule, link.subject, link.locale, link.expires_at <= now(),
           link.asked_at IS NOT NULL AND link.done_at IS NULL, link.outcome,
           count(*) FILTER (WHERE alert.status = 'firing'), count(*) FILTER (WHERE alert.status = 'acknowledged')
    FROM ack_link link
    LEFT JOIN alert_member member ON member.group_id = link.group_id AND member.told_firing
    LEFT JOIN alert ON alert.id = member.alert_id AND alert.started_at <= link.told_until
    WHERE link.digest = wanted
    GROUP BY link.digest
$$;

CREATE FUNCTION notifier_ack_ask(wanted bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE ack_link SET asked_at = now(), done_at = NULL, outcome = NULL
    WHERE digest = wanted AND expires_at > now() AND (asked_at IS NULL OR done_at IS NOT NULL)
$$;

-- Hands an SMS in; the same one again is the same row.
CREATE FUNCTION notifier_sms_in(remote text, content bytea) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO sms_in (remote_id, sealed) VALUES (remote, content) ON CONFLICT (remote_id) DO NOTHING;
    SELECT id FROM sms_in WHERE remote_id = remote
$$;

CREATE FUNCTION notifier_sms_reply(wanted uuid) RETURNS TABLE (is_done boolean, reply text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT done_at IS NOT NULL, sms_in.reply FROM sms_in WHERE id = wanted
$$;

REVOKE EXECUTE ON FUNCTION notifier_ack_look(bytea), notifier_ack_ask(bytea), notifier_sms_in(text, bytea),
    notifier_sms_reply(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifier_ack_look(bytea), notifier_ack_ask(bytea), notifier_sms_in(text, bytea),
    notifier_sms_reply(uuid) TO notifier_web, notifier_worker;
