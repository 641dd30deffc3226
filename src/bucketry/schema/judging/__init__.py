"""What follows from documents, as pure functions: the judgement that both faces show.

verdicts (is a value better, worse, or is that noise), comparison (versions beside each other, their slices, and the
document of which a decision cites the digest), gate_checks, decisions (is a version approved), trend, and what is known
of metrics.
"""
