"""What the lab raises."""


class LabFailed(Exception):
    """The lab did not come up, or something in it did not work."""
