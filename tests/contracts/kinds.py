"""The case of each kind of provider. A new kind adds its line here, and passes every test of the suite."""

from collections.abc import Mapping

from tests.contracts import (
    mailgun_server,
    postmark_server,
    ses_server,
    sms_server,
    vonage_server,
    webhook_server,
)
from tests.contracts.cases import Case

CASES: Mapping[str, Case] = {
    "mailgun": mailgun_server.CASE,
    "postmark": postmark_server.CASE,
    "ses": ses_server.CASE,
    "twilio": sms_server.CASE,
    "vonage": vonage_server.CASE,
    "webhook": webhook_server.CASE,
}
