"""A stand-in for what gives the role of a machine its keys: the instance's metadata service, a container's.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html (version 2: token first),
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html,
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html.
"""

import json
from datetime import UTC, datetime, timedelta

from tests.contracts.http_server import Answer, HttpServer, Request

TOKEN = "imds-token-0123456789"
BEARER = "container-authorization"
ROLE = "notifier-sender"
_ROLES = "/latest/meta-data/iam/security-credentials/"


def role_keys(number: int) -> tuple[str, str, str]:
    """Return the access key, the secret and the session token that are given out as the nth."""
    return f"ASIAROLE{number:04d}", f"role-secret-{number}", f"role-session-{number}"


class AwsMetadataServer(HttpServer[None]):
    """Gives other keys each time; ``lifetime`` is how long they are good."""

    def __init__(self, *, lifetime: timedelta = timedelta(hours=6)) -> None:
        self.lifetime = lifetime
        self.given = 0
        super().__init__()

    def tell(self, request: Request) -> Answer:
        """Demand what version 2 demands, or the container's word."""
        if request.path == "/latest/api/token":
            is_good = (
                request.method == "PUT" and request.headers["x-aws-ec2-metadata-token-ttl-seconds"].isdigit()
            )
            return Answer(200, TOKEN) if is_good else Answer(400, "")
        if request.path == "/container/keys":
            is_known = request.headers.get("authorization") == BEARER
            return self._keys() if is_known else Answer(401, "")
        if request.headers.get("x-aws-ec2-metadata-token") != TOKEN:
            return Answer(401, "")
        if request.path == _ROLES:
            return Answer(200, ROLE)
        return self._keys() if request.path == _ROLES + ROLE else Answer(404, "")

    def _keys(self) -> Answer:
        self.given += 1
        key, secret, token = role_keys(self.given)
        until = datetime.now(UTC) + self.lifetime
        said = {
            "Code": "Success", "LastUpdated": "2026-01-01T00:00:00Z", "Type": "AWS-HMAC", "AccessKeyId": key,
            "SecretAccessKey": secret, "Token": token, "Expiration": f"{until:%Y-%m-%dT%H:%M:%SZ}",
        }  # fmt: skip
        return Answer(200, json.dumps(said))
