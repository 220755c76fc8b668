"""Which module reads the callbacks of which kind of provider: a new provider is a module, and a line here."""

from collections.abc import Callable, Mapping

from notifier.inbound.callbacks.base import CallbackReader, Trust
from notifier.inbound.callbacks.mailgun import MailgunReader
from notifier.inbound.callbacks.postmark import PostmarkReader
from notifier.inbound.callbacks.ses import SesReader
from notifier.inbound.callbacks.twilio import TwilioReader
from notifier.inbound.callbacks.vonage import VonageReader

READERS: Mapping[str, Callable[[Trust], CallbackReader]] = {
    "ses": SesReader,
    "postmark": PostmarkReader,
    "mailgun": MailgunReader,
    "twilio": TwilioReader,
    "vonage": VonageReader,
}
