"""What the service answers when it refuses, and why a long operation ended badly."""

from collections.abc import Mapping
from typing import Any


class ArmError(Exception):
    """A refusal, answered as `{"error": {"code", "message", ...}}` with its status."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        inner: str = "",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner or code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Give the JSON the real front end sends: the inner code stands in `additionalInfo`."""
        info = [
            {"type": "ComponentName", "info": {"value": "managementfrontend"}},
            {"type": "InnerError", "info": {"value": {"code": self.inner, "innerError": None}}},
        ]
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "details": [],
                "additionalInfo": info,
            }
        }


class OperationError(Exception):
    """A long operation could not be done; the status URL shows the code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


# Azure ML answers code `UserError` for most 4xx; the precise word is the inner code.
def user_error(message: str, inner: str = "BadArgument") -> ArmError:
    """Make the 400 for a request that cannot be right as it stands."""
    return ArmError(400, "UserError", message, inner)


def not_found(message: str) -> ArmError:
    """Make the 404 for a resource that is not there."""
    return ArmError(404, "ResourceNotFound", message, "NotFound")


def conflict(message: str) -> ArmError:
    """Make the 409 for a change that must wait for another."""
    return ArmError(409, "Conflict", message)
