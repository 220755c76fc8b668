"""Find the traces of an SMTP dialogue in prose: reply codes, enhanced codes, the command answered, transcripts.

Decides nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from notifier.inbound.report import Phase

_CODE_AND_STATUS = re.compile(
    r"(?<![\d.])([45][0-7]\d)[ \-:]{1,3}'?\s{0,2}[#(\[]{0,2}([245]\.\d{1,3}\.\d{1,3})(?![\d.])"
)
_REPLY = re.compile(
    r"(?:^[ \t]{0,12}|\n[ \t]{0,12}|[:;\"'(\[\]<>=,|#][ \t]{0,4}\n?[ \t]{0,12}"
    r"|(?:said|was|is|error|reply|response|code)[ \t]{1,4}|[45]\d\d )"
    r"([45][0-7]\d(?:[ -]|: |\n[ \t]{1,12})"
    r"(?=[ \t]{0,3}[#(\[]{0,2}[245]\.\d|[ \t]{0,3}[<\"'(\[*:]?[A-Za-z\u0080-\uffff@]))"
    r"|([45][0-7]\d-')"
)
_PARAGRAPH = re.compile(
    r"\n[ \t]{0,40}\n|\n[ \t]{0,40}[-=_*]{5,}"
    r"|\n[ \t]{0,12}(?:remote[ -](?:system|mta)|reporting-mta|recipient address|reason"
    r"|diagnostic[ -]code|last-[\w-]{1,20}|original[ -]\w{1,20}|final-recipient|message-id|subject|from|to|date|sent"
    r"|generating server)[ \t]?:[ \t]",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"(?:^|said:|<<<|smtp;|responded?:?|returned|answered|error:|reply:|failure:|reason:|with:|was:|is:|message|code:?"
    r"|server|failed:|host|status:?|[\"'\[\](<:=>]|\n|\d -)"
    r"[ \t\"'\[]{0,4}([45][0-7]\d)(?=[ \-:;,\"')\]._\n]|$)(?!\.\d)",
    re.IGNORECASE,
)
_STATUS = re.compile(r"(?<![\d.])([45]\.\d{1,2}\.\d{1,3})(?![\d.])")
_GENERIC = frozenset({"5.0.0", "4.0.0", "5.5.0", "4.5.0"})
_IN_REPLY = re.compile(
    r"(?:in (?:reply|response) to|after|following|during|to the|while sending|at|stage:?"
    r"|command was:?|error from .{1,60}? at)"
    r"\s+(?:the\s+)?(?:smtp\s+)?(?:sending\s+)?[\"'<]?(end of data|end-of-data|final dot|message body"
    r"|initial connection|connection|banner|greeting|rcpt|mail|data|helo|ehlo|lhlo|auth|starttls|pipelined \w+)\b",
    re.IGNORECASE,
)
# Words that name the command without its name: Postfix, and qmail-remote.c.
_WORDED = (
    (
        re.compile(
            r"refused to talk to me|initial connection|in the banner|but greeting failed", re.IGNORECASE
        ),
        Phase.CONNECT,
    ),
    (re.compile(r"but my name was rejected", re.IGNORECASE), Phase.HELO),
    (re.compile(r"but sender was rejected|did not like our mail from", re.IGNORECASE), Phase.MAIL),
    (re.compile(r"does not like recipient|did not like our rcpt to", re.IGNORECASE), Phase.RCPT),
    (
        re.compile(
            r"failed on data command|did not like our data|failed after i sent the message", re.IGNORECASE
        ),
        Phase.DATA,
    ),
)
_PHASES = {
    "end": Phase.DATA, "final": Phase.DATA, "message": Phase.DATA, "data": Phase.DATA, "rcpt": Phase.RCPT,
    "mail": Phase.MAIL, "helo": Phase.HELO, "ehlo": Phase.HELO, "lhlo": Phase.HELO, "auth": Phase.HELO,
    "starttls": Phase.HELO, "initial": Phase.CONNECT, "connection": Phase.CONNECT, "banner": Phase.CONNECT,
    "greeting": Phase.CONNECT,
}  # fmt: skip
_SENT = re.compile(
    r"^\W{0,6}(?:>>>|sent[ >:]+|in:|->|c:|\(out\)|~>+)\s*(rcpt|mail|data|helo|ehlo)\b", re.IGNORECASE
)
_BARE_COMMAND = re.compile(r"^\W{0,3}(rcpt to:|mail from:)\s*<", re.IGNORECASE)
_ANSWER = re.compile(
    r"^\W{0,6}(?:<<<|received?[ <:]+|out:|<-|s:|\(in\)|<~+)\s*(([245]\d\d)([ \-].*|$))", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply in a transcript, its lines joined, and the command before it."""

    text: str
    code: int
    phase: Phase | None


def codes_in(text: str) -> tuple[int | None, str | None]:
    """Return the reply code and the enhanced code a text gives; of several the last full pair.

    A relay quotes the refusing server's reply behind its own words, so the last one is nearest to the refusal.
    """
    pairs = _CODE_AND_STATUS.findall(text)
    if pairs:
        clear = [pair for pair in pairs if pair[1] not in _GENERIC] or pairs
        return int(clear[-1][0]), clear[-1][1]
    code = _CODE.search(text)
    statuses = _STATUS.findall(text)
    clear_statuses = [one for one in statuses if one not in _GENERIC] or statuses
    return (int(code[1]) if code else None), (clear_statuses[-1] if clear_statuses else None)


def reply_in(text: str) -> str | None:
    """Return the server's reply a text quotes, from its code to the end of the paragraph."""
    found = _REPLY.search(text)
    if found is None:
        return None
    start = found.start(1) if found[1] else found.start(2)
    end = _PARAGRAPH.search(text, start)
    return text[start : end.start() if end else None][:2000]


def is_generic(status: str | None) -> bool:
    """Say whether an enhanced code tells no more than its first digit."""
    return status is None or status in _GENERIC


def phase_in(text: str) -> Phase | None:
    """Return the command a text says was answered."""
    if found := _IN_REPLY.search(text):
        word = found[1].lower().removeprefix("pipelined ").split()[0].split("-")[0]
        return _PHASES.get(word)
    return next((phase for words, phase in _WORDED if words.search(text)), None)


def refusals(text: str) -> Iterator[Reply]:
    """Yield the 4xx and 5xx replies of the transcripts in a text."""
    phase: Phase | None = None
    held: Reply | None = None
    for line in text.split("\n"):
        if found := _SENT.match(line) or _BARE_COMMAND.match(line):
            phase = _PHASES[found[1].lower().split()[0]]
        answer = _ANSWER.match(line)
        if answer is None or answer[2][0] == "2":
            continue
        code = int(answer[2])
        if held is not None and held.code == code and held.text[-1:] == "\0":
            held = Reply(f"{held.text[:-1]} {answer[3][1:].strip()}", code, held.phase)
        else:
            if held is not None:
                yield Reply(held.text.rstrip("\0"), held.code, held.phase)
            held = Reply(answer[1].strip(), code, phase)
        if answer[3][:1] == "-":
            held = Reply(held.text + "\0", code, held.phase)
    if held is not None:
        yield Reply(held.text.rstrip("\0"), held.code, held.phase)
