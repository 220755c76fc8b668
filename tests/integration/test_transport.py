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


def test_a_channel_whose_connection_is_gone_closes_without_a_word(redis_url: str) -> None:
    """A worker that lost Redis must come to its next connection, whatever it held."""
    with Connection(redis_url, transport="notifier.broker.transport:Transport") as connection:
        channel = connection.channel()
        queue = Queue("held")(channel)
        queue.declare()
        connection.Producer(channel).publish({"n": 1}, routing_key="held")
        assert queue.get() is not None
        channel._disconnect_pools()
        owner, channel.connection.client = channel.connection.client, None

        channel.qos.restore_unacked_once()

        channel.connection.client = owner
    assert not channel.qos._delivered


def test_what_is_held_goes_back_while_the_connection_stands(redis_url: str) -> None:
    """As kombu does it."""
    with Connection(redis_url, transport="notifier.broker.transport:Transport") as connection:
        channel = connection.channel()
        queue = Queue("held_too")(channel)
        queue.declare()
        connection.Producer(channel).publish({"n": 1}, routing_key="held_too")
        assert queue.get() is not None

        channel.qos.restore_unacked_once()

        assert queue.get(no_ack=True) is not None
