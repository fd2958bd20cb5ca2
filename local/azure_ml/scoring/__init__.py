"""The data plane of the emulator: real scoring servers, and the front that routes to them."""
