"""The exceptions: all errors that a user can cause derive from MaskmendError.

Each message is one line with the offending value and the remedy; the command line prints it and exits with
status 2.
"""


def pip_install(extra: str) -> str:
    """The command that installs an extra of this package, for error messages.

    It installs from the source folder, as there is no release yet.
    """
    return f"pip install '.[{extra}]' in the folder of maskmend's source"


class MaskmendError(Exception):
    """Base class of all errors of this package that a caller can fix."""


class ImageError(MaskmendError):
    """An image that is missing, unreadable, too large, animated, or of a kind we do not keep faithfully."""


class ImageSizeError(ImageError):
    """An image with more pixels than the limit; it was not decoded."""


class ConversionNeeded(ImageError):
    """An image that has to be converted first, which the caller has to allow."""

    def __init__(self, message: str, offers: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.offers = offers
        """The conversions, such as "16 bits a channel to 8"."""


class MaskError(MaskmendError):
    """A mask that does not fit its image or cannot be read as one."""


class MaskWarning(UserWarning):
    """A mask that may not be meant as one, such as a photograph."""


class ConfigError(MaskmendError):
    """A recipe, preset or argument with an unknown name or an impossible value."""


class ModelError(MaskmendError):
    """A model folder that is missing, of another kind, damaged, or of a newer format."""


class DataError(MaskmendError):
    """Training or evaluation data that is missing or unusable."""


class TrainingError(MaskmendError):
    """A training run that cannot continue: NaN loss, or a checkpoint of another run."""


class OutputError(MaskmendError):
    """A file that cannot be written; an existing file is unchanged."""


class WeightsError(MaskmendError):
    """Metric or perceptual weights that are missing or fail their checksum."""
