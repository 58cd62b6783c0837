"""The one exception that is meant for the person at the keyboard."""


class SetlistError(Exception):
    """A fault that its reader can mend.

    The message is one sentence that names the file, key or row at fault and the remedy; steps and
    the command line print it without a traceback and end with a non-zero exit code.
    """
