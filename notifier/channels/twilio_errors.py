"""What Twilio's error codes mean: one table, for answers now and for callbacks later.

Each code has a page: https://www.twilio.com/docs/api/errors/21211 and so on.
"""

from notifier.channels.meaning import Meaning
from notifier.errors import Fault

MEANINGS: dict[int, Meaning] = {
    # The account. 200xx: https://www.twilio.com/docs/api/errors
    20003: Meaning(Fault.CREDENTIALS, "credentials"),
    20005: Meaning(Fault.CREDENTIALS, "account-inactive"),
    20008: Meaning(Fault.CREDENTIALS, "test-credentials"),
    20403: Meaning(Fault.CREDENTIALS, "forbidden"),
    20404: Meaning(Fault.CREDENTIALS, "account-not-found"),
    20429: Meaning(Fault.RATE, "rate-limited", is_temporary=True),
    20500: Meaning(Fault.PROVIDER, "provider", is_temporary=True),
    20503: Meaning(Fault.PROVIDER, "provider", is_temporary=True),
    30002: Meaning(Fault.CREDENTIALS, "account-suspended"),
    # Too fast.
    14107: Meaning(Fault.RATE, "rate-limited", is_temporary=True),
    21611: Meaning(Fault.RATE, "queue-full", is_temporary=True),
    30001: Meaning(Fault.RATE, "queue-full", is_temporary=True),
    30022: Meaning(Fault.RATE, "rate-limited", is_temporary=True),
    30023: Meaning(Fault.RATE, "daily-quota", is_temporary=True),
    # The recipient.
    21211: Meaning(Fault.RECIPIENT, "invalid-number"),
    21214: Meaning(Fault.RECIPIENT, "unreachable"),
    21217: Meaning(Fault.RECIPIENT, "invalid-number"),
    21265: Meaning(Fault.RECIPIENT, "short-code"),
    21421: Meaning(Fault.RECIPIENT, "invalid-number"),
    21604: Meaning(Fault.RECIPIENT, "invalid-number"),
    21610: Meaning(Fault.RECIPIENT, "unsubscribed"),
    21614: Meaning(Fault.RECIPIENT, "not-a-mobile"),
    21635: Meaning(Fault.RECIPIENT, "not-a-mobile"),
    30003: Meaning(Fault.RECIPIENT, "unreachable", is_temporary=True),
    30004: Meaning(Fault.RECIPIENT, "blocked"),
    30005: Meaning(Fault.RECIPIENT, "unknown-recipient"),
    30006: Meaning(Fault.RECIPIENT, "not-a-mobile"),
    # The sender's number, its registration and permissions: pause, blame nobody who receives.
    21212: Meaning(Fault.SENDER, "sender-number"),
    21219: Meaning(Fault.SENDER, "trial-account"),
    21408: Meaning(Fault.SENDER, "region-not-enabled"),
    21601: Meaning(Fault.SENDER, "sender-number"),
    21603: Meaning(Fault.SENDER, "sender-number"),
    21606: Meaning(Fault.SENDER, "sender-number"),
    21608: Meaning(Fault.SENDER, "trial-account"),
    21659: Meaning(Fault.SENDER, "sender-number"),
    21660: Meaning(Fault.SENDER, "sender-number"),
    30034: Meaning(Fault.SENDER, "unregistered-number"),
    # The content.
    21602: Meaning(Fault.CONTENT, "empty"),
    21617: Meaning(Fault.CONTENT, "too-long"),
    21618: Meaning(Fault.CONTENT, "content"),
    21619: Meaning(Fault.CONTENT, "empty"),
    30007: Meaning(Fault.CONTENT, "filtered"),
    # The way there: this pair of numbers does not work, which says nothing about either alone.
    21612: Meaning(Fault.PROVIDER, "unroutable"),
    30008: Meaning(Fault.PROVIDER, "provider", is_temporary=True),
    30010: Meaning(Fault.PROVIDER, "price-limit"),
}
