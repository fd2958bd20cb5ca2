"""An Event Grid topic that we publish to: the Topic port on Microsoft's own client.

https://learn.microsoft.com/azure/event-grid/post-to-custom-topic
"""

import logging

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, HttpResponseError
from azure.eventgrid import EventGridPublisherClient

from deploy_logic.adapters.arm import AGAIN, read_retry_after
from deploy_logic.codec import Json
from deploy_logic.errors import TransientError, WorkspaceError

_CONNECT, _READ = 5, 25  # seconds; an activity must be over well within a minute
_LONGEST_QUOTE = 300
# The client hands our options of the request to the event too, and complains of each of them there.
logging.getLogger("azure.eventgrid._legacy._generated._serialization").setLevel(logging.ERROR)


class EventGridTopic:
    """The Topic port. No retries here: whoever calls decides when to ask again."""

    def __init__(self, endpoint: str, *, credential: TokenCredential) -> None:
        """Take the endpoint as the portal shows it; nothing is asked yet."""
        self._what = f"publishing to {endpoint}"
        self._client = EventGridPublisherClient(endpoint, credential)

    def publish(self, event: Json) -> None:
        """Send one CloudEvent; WorkspaceError when it is refused, or TransientError."""
        try:
            # the constructor takes no options, so they go along with every request
            self._client.send(
                [event],
                retry_total=0,
                permit_redirects=False,
                connection_timeout=_CONNECT,
                read_timeout=_READ,
            )
        except HttpResponseError as error:
            raise self._explain(error) from error
        except (AzureError, ValueError) as error:  # its (de)serialization errors are no AzureError
            raise TransientError(f"{self._what}: {error}", code=type(error).__name__) from error

    def _explain(self, error: HttpResponseError) -> WorkspaceError:
        """Return what was refused; the client hides the answer of a 404 behind another error."""
        cause = error.__cause__
        whole = cause if isinstance(cause, HttpResponseError) and not error.response else error
        if whole.response is None:  # as when there is no token
            return TransientError(f"{self._what}: {whole.message}", code=type(whole).__name__)
        status = whole.response.status_code
        sentence = f"{self._what}: {status}: {whole.message[:_LONGEST_QUOTE]}"
        if status in AGAIN:
            after = read_retry_after(getattr(whole.response, "headers", {}))  # untyped in the SDK
            return TransientError(sentence, code=str(status), retry_after=after)
        return WorkspaceError(sentence, code=str(status), status=status)
