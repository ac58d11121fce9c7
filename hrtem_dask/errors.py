"""The errors of this package: each message states the value, the limit and the remedy."""


class HrtemDaskError(Exception):
    """Base of every error that this package raises on purpose."""


class UnreadableMicrographError(HrtemDaskError):
    """A file that should hold a micrograph could not be read."""


class RefusedSignalError(HrtemDaskError):
    """A readable signal that is no micrograph: a spectrum, an FFT, an RGB picture, a complex image."""


class CalibrationError(HrtemDaskError, ValueError):
    """A pixel size is missing or impossible where one is needed."""


class SettingsError(HrtemDaskError, ValueError):
    """A setting is unknown or out of its range."""


class ModelError(HrtemDaskError):
    """A model file is damaged, of the wrong kind, or not the one that a run began with."""


class NothingToAnalyseError(HrtemDaskError):
    """The input holds no file."""
