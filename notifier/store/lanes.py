"""Look which lanes and relays have something to send.

Reads only; a few probes, however long the queue is.
"""

from notifier.store.database import Connection


def lanes_with_work(connection: Connection) -> list[tuple[str, str]]:
    """Return the (channel, lane) pairs that have something due on a relay and for a destination that do not rest.

    A loose index scan: a few probes per (relay, channel, lane, destination) in use, however long the queue is.
    """
    rows = connection.execute(
        """WITH RECURSIVE flow AS (
             (SELECT relay, channel, lane, destination FROM work WHERE state = 0
              ORDER BY relay, channel, lane, destination LIMIT 1)
             UNION ALL
             SELECT following.* FROM flow, LATERAL (
               SELECT work.relay, work.channel, work.lane, work.destination FROM work
               WHERE state = 0 AND (work.relay, work.channel, work.lane, work.destination)
                                   > (flow.relay, flow.channel, flow.lane, flow.destination)
               ORDER BY work.relay, work.channel, work.lane, work.destination LIMIT 1) AS following)
           SELECT DISTINCT channel, lane FROM flow,
             -- Not EXISTS: that may become a join with all there is.
             LATERAL (SELECT FROM work WHERE work.relay = flow.relay AND work.channel = flow.channel
                        AND work.lane = flow.lane AND work.destination = flow.destination
                        AND state = 0 AND due_at <= now() ORDER BY due_at LIMIT 1) AS first
           WHERE NOT EXISTS (SELECT 1 FROM relay_pause WHERE relay_pause.relay = flow.relay
                               AND greatest(until, tried_until) > now())
             AND NOT EXISTS (SELECT 1 FROM throttle WHERE throttle.relay = flow.relay
                               AND throttle.destination IN ('*', flow.destination) AND until > now())""",
        prepare=True,
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def relays_with_work(connection: Connection) -> list[str]:
    """Return the relays something waits for; one probe each, however long the queue is."""
    rows = connection.execute(
        """WITH RECURSIVE flow AS (
             (SELECT relay FROM work WHERE state = 0 ORDER BY relay LIMIT 1)
             UNION ALL
             SELECT (SELECT work.relay FROM work WHERE state = 0 AND work.relay > flow.relay
                     ORDER BY work.relay LIMIT 1)
             FROM flow WHERE flow.relay IS NOT NULL)
           SELECT relay FROM flow WHERE relay IS NOT NULL"""
    ).fetchall()
    return [row[0] for row in rows]
