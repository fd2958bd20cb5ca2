"""The back room: the only modules that import Azure's SDKs or talk to anything outside."""
