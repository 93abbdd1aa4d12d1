"""Every error the lab raises on purpose: each names the value it met, the value it wanted and the fix."""


class SeqGPTLabError(Exception):
    """Base of all errors that a user can cause and mend; catching it never hides a bug of ours."""


class OptionError(SeqGPTLabError, ValueError):
    """An option, dtype, device or parameter that is unknown or out of range."""


class CheckpointError(SeqGPTLabError):
    """A model directory that is missing, truncated, corrupt, of another architecture, or in pickle format; or no training checkpoint."""


class LabelError(SeqGPTLabError, ValueError):
    """A label list that cannot be asked: empty, duplicated, or with characters the prompt reserves."""


class RigError(SeqGPTLabError, ValueError):
    """A machine's description with a missing, misplaced or impossible figure; names the file, the figure and its limits."""


class ClaimError(SeqGPTLabError, ValueError):
    """A file of claims, or a record of a measurement on one, that lacks something; names the file and the entry."""


class DocumentError(SeqGPTLabError, ValueError):
    """A document or document file that breaks the format; names the line."""


class RunError(SeqGPTLabError):
    """A notebook run that did not complete; the run's record says how it ended."""


class ParameterError(RunError, ValueError):
    """A notebook parameter that the notebook does not have, or of another type."""


class WorkerError(SeqGPTLabError):
    """A worker process that died, raised, hung or did not start; names the replica, the rank, how it ended and its log's last lines."""


class CapacityError(SeqGPTLabError):
    """A single request that does not fit into memory, so that splitting its batch cannot help; or weights, or a step of training."""


class EngineClosedError(SeqGPTLabError):
    """An engine that was closed before it was asked, or by another thread while it was at work."""

    def __init__(self) -> None:
        super().__init__("this engine is closed; load it again with Engine.load")


class LogitsError(SeqGPTLabError):
    """Logits that are not numbers, so that no token is the likeliest; names the dtype and what to load instead."""


class EngineWarning(UserWarning):
    """Something the engine mended by itself that a user should know of: a batch split for memory, a worker started again, the CPU in place
    of cards that do not start."""
