"""Seal personal data, find it by blind index, destroy it by destroying its key."""

from notifier.crypto.blind_index import blind_index
from notifier.crypto.keyring import DataKey, Keyring, Purpose
from notifier.crypto.master import MasterKeys
from notifier.crypto.sms_keys import SmsKeys

__all__ = ["DataKey", "Keyring", "MasterKeys", "Purpose", "SmsKeys", "blind_index"]
