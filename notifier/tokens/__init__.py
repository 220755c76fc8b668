"""Sign ids that leave the house, so that they can be believed when they come back."""

from notifier.tokens.message_ids import message_id_of, mint_message_id

__all__ = ["message_id_of", "mint_message_id"]
