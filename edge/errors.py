"""The errors that a user may see; each message is one sentence that says what to do."""


class AacStreamError(Exception):
    """A problem that the user can solve; the command line prints one line and exits with 2."""


class ConfigError(AacStreamError):
    """A key or a value of the configuration is wrong."""


class DeviceError(AacStreamError):
    """An audio device is missing, ambiguous, busy or disconnected."""


class UnavailableError(DeviceError):
    """A device or a stream gives no audio now, but may do so later, so waiting helps."""


class AudioError(AacStreamError):
    """A file or a stream does not hold usable audio."""


class StreamDownError(AudioError, UnavailableError):
    """A URL gives no audio when it is opened, but may do so later, so waiting helps."""


class UnknownFormatError(AudioError):
    """A file has a format that libsndfile cannot read; ffmpeg may read it."""


class BundleError(AacStreamError):
    """A model bundle is missing, is damaged or has another version."""


class ModelError(BundleError):
    """A model returns values that are not numbers (NaN), so that no caption can be found."""


class NotInstalledError(BundleError):
    """A package that a backend needs is not installed."""


class OutputError(AacStreamError):
    """Captions cannot be written."""
