"""The app's HTTP API: a path and a body in, JSON out; what the app refuses is an error."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import quote

import requests

from rolloutctl.exit import RefusedError, UnreachableError
from rolloutctl.online.http import Asked, check_address, read_object, send

type Json = dict[str, Any]

_FIRST_REFUSAL, _FIRST_BREAKDOWN = 400, 500
_UNKNOWN_PERSON, _TOO_MANY = 401, 429
_ALIKE = timedelta(seconds=2)  # the Date of an answer has whole seconds, and it took its way


class Client:
    """One app. Nothing is asked twice: whoever calls knows what a second time would mean."""

    def __init__(self, address: str, find_token: Callable[[], str] = str) -> None:
        """Take the app's address, and what finds a token; without one nobody is signed in."""
        self.address = check_address(address, "the app's address").removesuffix("/api")
        self.skew = timedelta(0)  # by how much the app's clock is ahead of ours
        self._find_token = find_token
        self._session = requests.Session()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._session.close()

    @property
    def now(self) -> datetime:
        """The time by the app's clock, as far as we know it."""
        return datetime.now(UTC) + (self.skew if abs(self.skew) > _ALIKE else timedelta(0))

    def get(self, *path: str, **query: str | None) -> Json:
        """Return what is there."""
        kept = {name: value for name, value in query.items() if value is not None}
        return self._read(self._ask("GET", path, query=kept))

    def get_as_nobody(self, *path: str) -> Json:
        """Return what is there for everybody, without a token."""
        return self._read(self._ask("GET", path, is_signed_in=False))

    def post(self, *path: str, body: Json) -> Json:
        """Ask for something; return what the app says to it."""
        return self._read(self._ask("POST", path, json=body))

    def lines(self, *path: str, **query: str | None) -> Iterator[str]:
        """Give the lines of an answer as they come, each of them JSON."""
        kept = {name: value for name, value in query.items() if value is not None}
        answer = self._ask("GET", path, query=kept, is_stream=True)
        with answer:
            if answer.status_code >= _FIRST_REFUSAL:
                self._read(answer)
            try:
                yield from (line.decode() for line in answer.iter_lines() if line)
            except (requests.RequestException, UnicodeDecodeError) as error:
                text = f"asking {self.address}: the answer broke off (ask again)"
                raise UnreachableError(text) from error

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, str] | None = None,
        json: object = None,
        is_signed_in: bool = True,
        is_stream: bool = False,
    ) -> requests.Response:
        place = "/".join(quote(part, safe="") for part in path)
        asked = Asked(
            method=method,
            url=f"{self.address}/api/{place}",
            query=query,
            json=json,
            token=self._find_token() if is_signed_in else "",
            is_stream=is_stream,
        )
        answer = send(self._session, asked)
        self._look_at_the_clock(answer.headers.get("Date"))
        return answer

    def _read(self, answer: requests.Response) -> Json:
        status = answer.status_code
        if status < _FIRST_REFUSAL:
            return read_object(answer)
        if status == _UNKNOWN_PERSON and "json" not in answer.headers.get("Content-Type", ""):
            problem: Json = {"title": "nobody is signed in", "status": status}  # the platform's own
        else:
            problem = read_object(answer)
        said = [str(problem[key]) for key in ("title", "detail") if problem.get(key)]
        text = ": ".join(said) or f"status {status}"
        if status == _UNKNOWN_PERSON:
            text += f" (rolloutctl login --app {self.address})"
        if status == _TOO_MANY or status >= _FIRST_BREAKDOWN:
            raise UnreachableError(f"{self.address}: {text}", problem=problem)
        raise RefusedError(text, status=status, problem=problem)

    def _look_at_the_clock(self, date: str | None) -> None:
        if date is None:
            return
        try:
            told = parsedate_to_datetime(date)
        except ValueError:
            return  # a proxy's own idea of a date says nothing about the app
        if told.tzinfo is not None:
            self.skew = told - datetime.now(UTC)
