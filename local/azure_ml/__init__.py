"""An Azure ML workspace on the laptop: ARM, storage, identity and events over HTTPS on loopback.

It stands on its own and knows Azure ML only: `server` wires it, `endpoints`, `deployments` and
`models` hold the service's rules, `operations` the long-running work, `store` everything kept.
"""
