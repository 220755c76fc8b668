"""Sign ids that leave the house, so that they can be believed when they come back."""

from notifier.tokens.ack_links import ack_digest, mint_ack_token
from notifier.tokens.message_ids import message_id_of, mint_message_id
from notifier.tokens.person_links import (
    join_person_link,
    link_digest,
    link_seal_key,
    message_of_tag,
    mint_person_token,
    split_person_link,
    tag_message,
)
from notifier.tokens.references import message_id_of_reference, reference_of
from notifier.tokens.return_paths import message_of_return_path, mint_return_path
from notifier.tokens.tracking import TRAP, mint_tracking_token, split_tracked_link
from notifier.tokens.unsubscribe_addresses import link_of_unsubscribe_address, mint_unsubscribe_address

__all__ = [
    "TRAP",
    "ack_digest",
    "join_person_link",
    "link_digest",
    "link_of_unsubscribe_address",
    "link_seal_key",
    "message_id_of",
    "message_id_of_reference",
    "message_of_return_path",
    "message_of_tag",
    "mint_ack_token",
    "mint_message_id",
    "mint_person_token",
    "mint_return_path",
    "mint_tracking_token",
    "mint_unsubscribe_address",
    "reference_of",
    "split_person_link",
    "split_tracked_link",
    "tag_message",
]
