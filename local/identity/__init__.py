"""An identity provider on a laptop: signs people in as Entra ID does, for one tenant and one app.

It knows OAuth 2.0, OpenID Connect and Entra's dialect of both, and nothing of who uses it.
"""
