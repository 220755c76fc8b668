"""Sign ids that leave the house, so that they can be believed when they come back."""

from notifier.tokens.ack_links import ack_digest, mint_ack_token
from notifier.tokens.message_ids import message_id_of, mint_message_id
from notifier.tokens.references import message_id_of_reference, reference_of

__all__ = [
    "ack_digest",
    "message_id_of",
    "message_id_of_reference",
    "mint_ack_token",
    "mint_message_id",
    "reference_of",
]
