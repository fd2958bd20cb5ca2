"""The pages on which one says who one is: no script, and nothing from elsewhere."""

from collections.abc import Mapping
from html import escape

from local.identity.registration import PEOPLE

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_FRAME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }}
main {{ max-width: 28rem; margin: 10vh auto; padding: 0 1rem; }}
button, input {{ font: inherit; width: 100%; box-sizing: border-box; margin: .25rem 0;
  padding: .75rem 1rem; text-align: left; border-radius: .5rem; border: 1px solid GrayText; }}
</style>
<main>
<h1>{title}</h1>
{body}
</main>
</html>
"""


def choose(hidden: Mapping[str, str], *, asks_for_code: bool = False) -> str:
    """Return the page on which somebody chooses who to be."""
    fields = [
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in hidden.items()
        if not (asks_for_code and name == "user_code")
    ]
    if asks_for_code:
        code = escape(hidden.get("user_code", ""))
        fields.append(
            '<label>Code <input name="user_code" autocomplete="off" required '
            f'value="{code}"></label>'
        )
    people = [
        f'<button name="person" value="{key}"><b>{escape(one.name)}</b> {escape(one.about)}'
        "</button>"
        for key, one in PEOPLE.items()
    ]
    decline = ['<button name="person" value="">Nobody: decline</button>'] if asks_for_code else []
    return tell(
        "Sign in as", form=["<p>No password: this is your laptop.</p>", *fields, *people, *decline]
    )


def tell(title: str, text: str = "", *, form: list[str] | None = None) -> str:
    """Return a page that says something, with a form where there is one."""
    parts = ['<form method="post">', *form, "</form>"] if form else [f"<p>{escape(text)}</p>"]
    return _FRAME.format(title=escape(title), body="\n".join(parts))
