-- A link by which one person says what they want to be told: in each mail they may opt out of, one per person and
-- category. Only the hash of its token is here: whoever reads the table has no link.
CREATE TABLE person_link (
    digest bytea PRIMARY KEY,
    tenant text NOT NULL,
    person_id uuid NOT NULL,
    address_index bytea NOT NULL,
    category text NOT NULL,
    locale text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX person_link_person ON person_link (person_id);
CREATE INDEX person_link_expires ON person_link (expires_at);

-- What somebody asked for by a link; the sweep carries it out. Forms and answers are sealed under a key that only
-- the link's token gives: neither is readable in a backup.
CREATE TABLE link_ask (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    digest bytea NOT NULL REFERENCES person_link (digest) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('unsubscribe', 'all', 'undo', 'show', 'save')),
    how text NOT NULL,
    tag text,
    form bytea CHECK (octet_length(form) <= 65536),
    asked_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    outcome text,
    answer bytea
);
COMMENT ON COLUMN link_ask.how IS 'one_click: the mail program''s own button; page: ours';
COMMENT ON COLUMN link_ask.tag IS 'which message the link stood in, with its MAC';
CREATE INDEX link_ask_waiting ON link_ask (asked_at) WHERE done_at IS NULL;
CREATE INDEX link_ask_digest ON link_ask (digest, asked_at);

-- Who changed what they are told, when, and by which link: an auditor's, kept until the person is erased.
CREATE TABLE preference_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    person_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    how text NOT NULL,
    link bytea,
    message_id uuid,
    refused text[] NOT NULL DEFAULT '{}',
    wanted text[] NOT NULL DEFAULT '{}',
    fields text[] NOT NULL DEFAULT '{}'
);
COMMENT ON COLUMN preference_change.refused IS 'categories, or category:channel, refused from then on';
COMMENT ON COLUMN preference_change.wanted IS 'told again from then on';
COMMENT ON COLUMN preference_change.fields IS 'what else was set: the names of the fields, never their values';
CREATE INDEX preference_change_person ON preference_change (tenant, person_id, id);

-- What a person allowed, and the proof of it: one row each time it was given, closed when it is withdrawn.
CREATE TABLE consent (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    person_id uuid NOT NULL,
    purpose text NOT NULL,
    given_at timestamptz NOT NULL DEFAULT now(),
    withdrawn_at timestamptz,
    proof bytea NOT NULL,
    withdrawal bytea
);
COMMENT ON COLUMN consent.proof IS 'how, where and under which words it was given; sealed under the person''s key';
CREATE UNIQUE INDEX consent_current ON consent (tenant, person_id, purpose) WHERE withdrawn_at IS NULL;
CREATE INDEX consent_person ON consent (tenant, person_id, id);

-- A message whose opens or clicks are told, with consent. Where its links lead is sealed under a key that only the
-- token in the mail gives; without a person the links still lead there, and nothing is recorded.
CREATE TABLE tracked (
    digest bytea PRIMARY KEY,
    tenant text NOT NULL,
    person_id uuid,
    message_id uuid,
    targets bytea NOT NULL,
    trapped_at timestamptz,
    expires_at timestamptz NOT NULL
);
COMMENT ON COLUMN tracked.trapped_at IS 'when the link no person can see was last followed: a machine reads';
CREATE INDEX tracked_person ON tracked (person_id);
CREATE INDEX tracked_expires ON tracked (expires_at);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['person_link', 'link_ask', 'preference_change', 'consent', 'tracked'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY worker_sees_all ON %I TO notifier_worker USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY owner_sees_all ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO notifier_worker', name);
    END LOOP;
END $$;

-- The web process has no right to any of these tables. Whoever holds a link may see what it is for, and ask.
CREATE FUNCTION notifier_link_look(wanted bytea)
RETURNS TABLE (category text, locale text, is_expired boolean, is_erased boolean, is_asked boolean, is_refused boolean,
               outcome text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT link.category, link.locale, link.expires_at <= now(), person.data_key IS NULL,
           EXISTS (SELECT 1 FROM link_ask ask WHERE ask.digest = link.digest AND ask.done_at IS NULL
                   AND ask.kind IN ('unsubscribe', 'all', 'undo')),
           EXISTS (SELECT 1 FROM suppression s WHERE s.tenant = link.tenant AND s.address_index = link.address_index
                   AND s.cause = 'unsubscribe' AND s.scope IN ('*', link.category)
                   AND (s.until IS NULL OR s.until > now()))
           OR EXISTS (SELECT 1 FROM contact c WHERE c.tenant = link.tenant AND c.person_id = link.person_id
                      AND link.category = ANY (c.opt_outs)),
           (SELECT ask.outcome FROM link_ask ask WHERE ask.digest = link.digest AND ask.done_at IS NOT NULL
            AND ask.kind IN ('unsubscribe', 'all', 'undo') ORDER BY ask.asked_at DESC LIMIT 1)
    FROM person_link link JOIN person ON person.id = link.person_id
    WHERE link.digest = wanted
$$;

-- Asks, and returns what to look for the answer under; the same wish once more while it waits is the same row.
CREATE FUNCTION notifier_link_ask(wanted bytea, ask_kind text, ask_how text, ask_tag text, ask_form bytea)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    waiting uuid;
BEGIN
    -- Locked, so that two presses at once find each other.
    PERFORM 1 FROM person_link WHERE digest = wanted AND expires_at > now() FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT id INTO waiting FROM link_ask
    WHERE digest = wanted AND kind = ask_kind AND done_at IS NULL AND form IS NOT DISTINCT FROM ask_form LIMIT 1;
    IF waiting IS NULL AND (SELECT count(*) FROM link_ask WHERE digest = wanted AND done_at IS NULL) < 20 THEN
        INSERT INTO link_ask (digest, kind, how, tag, form) VALUES (wanted, ask_kind, ask_how, ask_tag, ask_form)
        RETURNING id INTO waiting;
    END IF;
    RETURN waiting;
END $$;

CREATE FUNCTION notifier_link_answer(wanted bytea, ask uuid)
RETURNS TABLE (is_done boolean, outcome text, answer bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT done_at IS NOT NULL, link_ask.outcome, link_ask.answer FROM link_ask WHERE id = ask AND digest = wanted
$$;

-- What a hit on a tracked mail needs to know: where its links lead, and whether the person still allows it to be told.
CREATE FUNCTION notifier_track_look(wanted bytea)
RETURNS TABLE (message_id uuid, sent_at timestamptz, targets bytea, trapped_at timestamptz, opens boolean,
               clicks boolean, tenant text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.message_id, m.settled_at, t.targets, t.trapped_at,
           EXISTS (SELECT 1 FROM consent c WHERE c.tenant = t.tenant AND c.person_id = t.person_id
                   AND c.purpose = 'tracking:opens' AND c.withdrawn_at IS NULL),
           EXISTS (SELECT 1 FROM consent c WHERE c.tenant = t.tenant AND c.person_id = t.person_id
                   AND c.purpose = 'tracking:clicks' AND c.withdrawn_at IS NULL),
           t.tenant
    FROM tracked t LEFT JOIN message m ON m.id = t.message_id AND m.status = 'sent'
    WHERE t.digest = wanted AND t.expires_at > now()
$$;

CREATE FUNCTION notifier_track_trap(wanted bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE tracked SET trapped_at = now() WHERE digest = wanted
$$;

REVOKE EXECUTE ON FUNCTION notifier_link_look(bytea), notifier_link_ask(bytea, text, text, text, bytea),
    notifier_link_answer(bytea, uuid), notifier_track_look(bytea), notifier_track_trap(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifier_link_look(bytea), notifier_link_ask(bytea, text, text, text, bytea),
    notifier_link_answer(bytea, uuid), notifier_track_look(bytea), notifier_track_trap(bytea)
    TO notifier_web, notifier_worker;
