"""Judge failures where each recipient is a service of its own: a webhook's endpoint, the targets of Apprise.

Pure. What would be said of a relay there is said of one recipient: the others must not wait for it.
"""

from notifier.errors import Fault, OutcomeUnknown, PermanentFailure, Phase, Reply, SendError, TemporaryFailure
from notifier.messages import ChannelName

HAS_ENDPOINTS = frozenset({ChannelName.WEBHOOK, ChannelName.APPRISE})

_NOT_REACHED = frozenset({Fault.NETWORK, Fault.TLS})
_NOT_LET_IN = frozenset({Fault.CREDENTIALS, Fault.SENDER})


def of_endpoint(failure: SendError) -> SendError:
    """Return what a failure of such a channel means.

    An endpoint that cannot be reached rests like a flow that limits us, and no message loses a try. One that lets
    nobody in is asked again, message by message: it may be mended, and nobody else is concerned.
    """
    text, reply = str(failure), failure.reply
    if reply.phase is Phase.LOCAL:
        return failure
    if isinstance(failure, OutcomeUnknown):
        return OutcomeUnknown(text, fault=Fault.PROVIDER, reply=reply, reason=failure.reason)
    if isinstance(failure, TemporaryFailure) and failure.fault in _NOT_REACHED:
        return TemporaryFailure(text, fault=Fault.RATE, reply=reply, reason=failure.reason)
    if isinstance(failure, PermanentFailure) and failure.fault in _NOT_LET_IN:
        asked = Reply(phase=Phase.REQUEST, code=reply.code, enhanced=reply.enhanced, text=reply.text)
        return TemporaryFailure(text, fault=Fault.PROVIDER, reply=asked, reason=failure.reason)
    return failure
