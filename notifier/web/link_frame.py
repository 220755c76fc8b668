"""Frame the pages behind the links of a mail: one look, no script, nothing loaded from anywhere.

Pure: markup comes in escaped, a whole page goes out.
"""

import base64
import hashlib
from collections.abc import Collection, Mapping
from html import escape

from notifier.setting_tables import Brand

_STYLE = """
:root{color-scheme:light dark;--ground:#f3f4f6;--card:#fff;--text:#111827;--soft:#4b5563;--line:#d1d5db;
--main:#1d4ed8;--on:#fff;--good:#166534;--bad:#b91c1c;--field:#fff}
@media(prefers-color-scheme:dark){:root{--ground:#0b1220;--card:#1a2333;--text:#f3f4f6;--soft:#cbd5e1;--line:#475569;
--main:#93c5fd;--on:#0b1220;--good:#86efac;--bad:#fca5a5;--field:#0f172a}}
*{box-sizing:border-box}
body{margin:0;padding:2rem 1rem;background:var(--ground);color:var(--text);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
header,main{max-width:38rem;margin:0 auto}
header{padding:0 1.5rem .75rem;font-weight:700}
main{padding:1.75rem 1.5rem;background:var(--card);border:1px solid var(--line);border-radius:12px}
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25}
h2{margin:2rem 0 .25rem;font-size:1.125rem;line-height:1.3}
p{margin:.5rem 0}
.soft{color:var(--soft)}
.good{color:var(--good);font-weight:600}
.bad{color:var(--bad);font-weight:600}
a{color:var(--main)}
button{min-height:2.75rem;padding:.6rem 1.25rem;border:2px solid var(--main);border-radius:8px;background:var(--main);
color:var(--on);font:inherit;font-weight:600;cursor:pointer}
button.second{background:transparent;color:var(--main)}
.row{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.25rem 0 .25rem}
:focus-visible{outline:3px solid var(--main);outline-offset:2px}
hr{margin:1.5rem 0;border:0;border-top:1px solid var(--line)}
fieldset{margin:0;padding:.75rem 0;border:0;border-top:1px solid var(--line)}
fieldset:last-of-type{border-bottom:1px solid var(--line)}
legend{float:left;width:100%;padding:0;font-weight:600}
.choices,fieldset>p,fieldset>.choice{clear:both}
.choices{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem}
.choice{display:inline-flex;align-items:center;gap:.6rem;min-height:2.75rem;cursor:pointer}
input[type=checkbox]{width:1.25rem;height:1.25rem;flex:none;margin:0;accent-color:var(--main)}
.fields{display:flex;flex-wrap:wrap;gap:.75rem 1rem;margin-top:.75rem}
.field{display:block;flex:1 1 9rem;min-width:0}
.field span{display:block;color:var(--soft);font-size:.9rem}
select,input[type=time],input[type=text]{width:100%;min-height:2.75rem;padding:.5rem;border:1px solid var(--soft);
border-radius:8px;background:var(--field);color:var(--text);font:inherit}
@media(max-width:30rem){body{padding:1rem 0}main{border-width:1px 0;border-radius:0}.row button{width:100%}}
""".replace("\n", "")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "cache-control": "no-store",
    # The address of the page is what lets its reader act: it is told to nobody.
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
}


def frame(title: str, body: str, *, language: str, brand: Brand) -> str:
    """Return a page; ``title`` is text, ``body`` markup that holds no word from outside unescaped."""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f"<title>{escape(title)} · {escape(brand.name)}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # Browsers ask for an icon of their own accord: this is one, and empty.
        '<link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><header>{escape(brand.name)}</header>"
        f"<main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def language_of(known: Collection[str], *wishes: str) -> str:
    """Return the first language of the wishes that is known; each a locale, or an Accept-Language header."""
    for wish in wishes:
        for part in wish.split(",")[:20]:
            language = part.partition(";")[0].strip().partition("-")[0].lower()
            if language in known:
                return language
    return "en"


def title_of(category: str, titles: Mapping[str, Mapping[str, str]], language: str) -> str:
    """Return what people call a category: as the settings have it, else its name made readable."""
    known = titles.get(category, {})
    plain = category.replace("_", " ").replace("-", " ").capitalize()
    return known.get(language) or known.get("en") or plain
