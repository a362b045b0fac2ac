"""The one family of errors that a user may see; each message is a sentence that says what to do."""


class AacStreamError(Exception):
    """Something that the user can mend; the command line prints it as one line and exits with 2."""


class ConfigError(AacStreamError):
    """A key or a value of the configuration is not right."""


class DeviceError(AacStreamError):
    """An audio device is missing, ambiguous, busy or gone."""


class UnavailableError(DeviceError):
    """A device or a stream gives no audio now, but may again; waiting helps."""


class AudioError(AacStreamError):
    """A file or a stream does not hold usable audio."""


class StreamDownError(AudioError, UnavailableError):
    """A URL gives no audio when it is opened, but may later; waiting helps."""


class UnknownFormatError(AudioError):
    """A file is of no format that libsndfile reads; ffmpeg may read it."""


class BundleError(AacStreamError):
    """A model bundle is missing, damaged or of another version."""


class ModelError(BundleError):
    """A model gives values that are no numbers, so that no caption can be found."""


class NotInstalledError(BundleError):
    """A package that a backend needs is not there."""


class OutputError(AacStreamError):
    """Captions cannot be written."""
