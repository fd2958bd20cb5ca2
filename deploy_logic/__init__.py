"""Continuous deployment of Azure ML models, in reading order.

event (what was registered) -> matching (which policies want it) -> plan (the ordered steps) ->
orchestrator (the replayed story: prepare, take each step, promote or roll back), which acts through
activities on the ports that adapters/ implement. ledger remembers one endpoint; operations is what
may be asked for from outside.
"""
