"""Every error the lab raises on purpose: each names the value it met, the value it wanted and the fix."""


class SeqGPTLabError(Exception):
    """Base of all errors that a user can cause and mend; catching it never hides a bug of ours."""


class OptionError(SeqGPTLabError, ValueError):
    """An option, dtype, device or parameter that is unknown or out of range."""


class CheckpointError(SeqGPTLabError):
    """A model directory that is missing, truncated, corrupt, of another architecture, or in pickle format."""


class LabelError(SeqGPTLabError, ValueError):
    """A label list that cannot be asked: empty, duplicated, or with characters the prompt reserves."""


class DocumentError(SeqGPTLabError, ValueError):
    """A document or document file that breaks the format; names the line."""


class RunError(SeqGPTLabError):
    """A notebook run that did not complete; the run's record says how it ended."""


class ParameterError(RunError, ValueError):
    """A notebook parameter that the notebook does not have, or of another type."""
