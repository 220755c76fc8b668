"""kombu's transport with its client kept works against a real server, and gives way when the pools go."""

from kombu import Connection, Queue


def test_the_kept_client_is_one_and_goes_with_the_pools(redis_url: str) -> None:
    """A second client is not made until the pools were dropped; messages still go through."""
    with Connection(redis_url, transport="notifier.broker.transport:Transport") as connection:
        channel = connection.channel()
        queue = Queue("kept")(channel)
        queue.declare()

        first, second = channel._create_client(), channel._create_client()
        connection.Producer(channel).publish({"n": 1}, routing_key="kept")
        message = queue.get(no_ack=True)
        channel._disconnect_pools()
        third = channel._create_client()

    assert first is second
    assert third is not first
    assert message.payload == {"n": 1}
