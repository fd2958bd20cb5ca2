"""Stand-ins for the worker's generated messages: bags of named fields, as far as the library looks.

The library takes its message classes from whoever drives it; only `TypedData` and
`ParameterBinding` need behaviour, the rest is constructed, filled and read by attribute.
"""

from typing import Any


class Message:
    """Keeps the fields it is given; an absent one raises AttributeError, as the library expects."""

    def __init__(self, **fields: Any) -> None:  # noqa: ANN401 - whatever the library puts in
        self.__dict__.update(fields)


class TypedData(Message):
    """One value in exactly one field: json, string, bytes, http, int or double."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's spelling
        """Return the name of the field that is set."""
        return next(iter(self.__dict__), None)

    @property
    def text(self) -> str | None:
        """The value as text, whatever field carries it; None when there is none."""
        field = self.WhichOneof("data")
        if field is None:
            return None
        value = self.__dict__[field]
        return value.decode() if isinstance(value, bytes) else str(value)


class ParameterBinding(Message):
    """A named TypedData."""

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's spelling
        """Answer that shared memory is not used."""
        return "data"


class StatusResult(Message):
    """How a request to the library ended."""

    Failure = 0
    Success = 1


class BindingInfo(Message):
    """A binding's direction."""

    undefined = 0
    out = 1
    inout = 2


class SameSite:
    """The cookie attribute's values as the library names them."""

    Lax = "Lax"
    Strict = "Strict"
    ExplicitNone = "None"


setattr(SameSite, "None", None)  # a keyword: the library asks for it by getattr


class RpcHttpCookie(Message):
    """One cookie of an answer."""

    SameSite = SameSite


RpcHttp = Message
RpcException = Message
RpcFunctionMetadata = Message
RpcRetryOptions = Message
WorkerInitResponse = Message
WorkerMetadata = Message
FunctionMetadataResponse = Message
FunctionLoadResponse = Message
InvocationResponse = Message
NullableString = Message
NullableBool = Message
NullableDouble = Message
NullableTimestamp = Message
Timestamp = Message
