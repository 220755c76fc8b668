"""The tables of the settings: relays, mail, limits and all the others, as pydantic shapes.

Shapes only: where their values come from stands in ``settings``.
"""

from notifier.setting_tables.content import Brand, LookupSource
from notifier.setting_tables.machinery import Limits, Tuning
from notifier.setting_tables.mail import Dkim, DkimKey, DkimPair, Mail, Sender
from notifier.setting_tables.mail_in import MailIn
from notifier.setting_tables.relays import RateLimits, Relay, Route, Sms
from notifier.setting_tables.restraint import SafeModeSettings, Suppression, Tracking
from notifier.setting_tables.values import DnsServer, LogLevel, Port, Remembered, Wait

__all__ = [
    "Brand",
    "Dkim",
    "DkimKey",
    "DkimPair",
    "DnsServer",
    "Limits",
    "LogLevel",
    "LookupSource",
    "Mail",
    "MailIn",
    "Port",
    "RateLimits",
    "Relay",
    "Remembered",
    "Route",
    "SafeModeSettings",
    "Sender",
    "Sms",
    "Suppression",
    "Tracking",
    "Tuning",
    "Wait",
]
