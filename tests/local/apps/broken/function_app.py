"""An app the library refuses: this annotation is not one it knows."""
# The decorators of azure.functions carry no types.
# mypy: disable-error-code="untyped-decorator"

import azure.functions as func

app = func.FunctionApp()


@app.event_grid_trigger(arg_name="event")
def on_event(event: func.EventGridEvent | func.CloudEvent) -> None:
    raise AssertionError(f"never indexed, called with {event}")
