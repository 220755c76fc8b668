-- What /metrics needs of alerts: how many are open, and for how long the group has waited that should have spoken.
CREATE OR REPLACE FUNCTION notifier_alerts() RETURNS TABLE (firing bigint, acknowledged bigint, late double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*) FILTER (WHERE status = 'firing'), count(*) FILTER (WHERE status = 'acknowledged'),
           coalesce((SELECT extract(epoch FROM now() - min(due_at)) FROM alert_group WHERE due_at <= now()), 0)::float8
    FROM alert WHERE status IN ('firing', 'acknowledged')
$$;
REVOKE EXECUTE ON FUNCTION notifier_alerts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notifier_alerts() TO notifier_worker, notifier_web;
