"""A scoring script that templates name."""


def init() -> None:
    pass


def run(raw: str) -> str:
    return raw
