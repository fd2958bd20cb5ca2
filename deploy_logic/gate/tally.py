"""Step 4 of 5: the judgements of one watch within one bake, counted. Pure."""

from dataclasses import dataclass, replace
from typing import assert_never

from deploy_logic.gate.gate import Judgement, Verdict
from deploy_logic.plan.step import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one watch has said so far."""

    passes: int = 0
    failures: int = 0
    failures_in_a_row: int = 0  # only a pass ends the row: not knowing is no recovery
    errors: int = 0
    errors_in_a_row: int = 0
    last: Judgement | None = None

    def add(self, judgement: Judgement) -> "Tally":
        """Return the same with one judgement more."""
        same = replace(self, last=judgement)
        match judgement.verdict:
            case Verdict.PASS:
                return replace(same, passes=self.passes + 1, failures_in_a_row=0, errors_in_a_row=0)
            case Verdict.FAIL:
                return replace(
                    same,
                    failures=self.failures + 1,
                    failures_in_a_row=self.failures_in_a_row + 1,
                    errors_in_a_row=0,
                )
            case Verdict.INCONCLUSIVE:
                return replace(same, errors_in_a_row=0)
            case Verdict.ERROR:
                return replace(
                    same, errors=self.errors + 1, errors_in_a_row=self.errors_in_a_row + 1
                )
            case _:
                assert_never(judgement.verdict)

    def says(self, watch: Watch) -> Verdict:
        """Return what all of it means for the rollout; a watch on trial never stands in its way."""
        if watch.dry_run:
            return Verdict.PASS
        row = watch.failures_in_a_row
        if self.failures > watch.failures or (row is not None and self.failures_in_a_row > row):
            return Verdict.FAIL
        if self.errors_in_a_row > watch.error_budget:
            return Verdict.ERROR
        knows = self.last is not None and self.last.verdict in {Verdict.PASS, Verdict.FAIL}
        # A watch that never passed has not passed, whatever is forgiven.
        return Verdict.PASS if knows and self.passes > 0 else Verdict.INCONCLUSIVE
