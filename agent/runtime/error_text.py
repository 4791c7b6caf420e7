"""An error in one line for a person, without Python's wrapping."""


def error_reason(error: Exception) -> str:
    """The reason alone, such as ``No space left on device``."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def describe_error(error: Exception) -> str:
    """The reason, after the file where the error names one: "No such file" alone helps nobody."""
    reason = error_reason(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {reason}"
    return reason
