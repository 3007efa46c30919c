"""One-time enrolment tokens."""
