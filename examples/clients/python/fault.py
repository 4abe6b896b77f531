"""What is refused, and why: codes are those of mttc's catalogue."""


class Fault(Exception):
    """A picture or a model file that is not usable; `code` is for programs, the text for people."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
